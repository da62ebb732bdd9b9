//! One file a kind: its type, wire form, defaults, validation, schema and tests together.

pub mod dataplane;
pub mod dataplane_insight;
pub mod logging;
pub mod mesh;
pub mod proxy_template;
pub mod traffic_log;
pub mod traffic_permission;
pub mod traffic_route;

/// Reads, defaults and validates as a write does, and compares with all violations in their order.
#[cfg(test)]
#[track_caller]
fn check_violations<R: crate::Resource>(spec: &serde_json::Value, expected: &[(&str, &str)]) {
    let mut resource = R::deserialize(spec).unwrap();
    resource.set_defaults();
    let violations = resource.validate();
    let found: Vec<_> = violations.0.iter().map(|it| (it.field.as_str(), it.message.as_str())).collect();
    assert_eq!(found, expected, "{spec}");
}

/// Reads and compares with how it is printed.
#[cfg(test)]
#[track_caller]
fn check_printed<T: serde::de::DeserializeOwned + serde::Serialize>(read: &str, expected: &str) {
    let value: T = serde_json::from_str(read).expect(read);
    assert_eq!(serde_json::to_string(&value).unwrap(), expected, "{read}");
}
