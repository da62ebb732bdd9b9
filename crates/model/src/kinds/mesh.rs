//! Mesh: a set of dataplanes that know each other, its security and its logging backends.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::logging::Logging;
use crate::{
    Violations,
    kind::Resource,
    schema::{boolean, object, text},
    wire,
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mesh {
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Mtls>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub ca: Option<CertificateAuthority>,
    #[serde(default, deserialize_with = "wire::boolean", skip_serializing_if = "wire::is_default")]
    pub enabled: bool,
    /// Not in Kuma 0.3.0. Inbounds take plain connections and TLS side by side, whether it is enabled or not.
    #[serde(default, deserialize_with = "wire::boolean", skip_serializing_if = "wire::is_default")]
    pub permissive: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateAuthority {
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub builtin: Option<BuiltinCa>,
}

/// The CA that the control plane makes and keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltinCa {}

/// Kept and given back; Kuma 0.3.0 does not act on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracing {
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub zipkin: Option<ZipkinTracing>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZipkinTracing {
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub address: String,
}

const PERMISSIVE: &str = "Whether inbounds take plain connections and TLS side by side: the step before mTLS is enabled, and \
                          before it is demanded. Meanwhile permissions refuse nobody.";

impl Mesh {
    pub fn mtls_enabled(&self) -> bool {
        self.mtls.as_ref().is_some_and(|mtls| mtls.enabled)
    }

    pub fn mtls_permissive(&self) -> bool {
        self.mtls.as_ref().is_some_and(|mtls| mtls.permissive)
    }
}

impl Resource for Mesh {
    /// A Mesh without a CA gets the built-in one (Kuma 0.3.0).
    fn set_defaults(&mut self) {
        let ca = self.mtls.get_or_insert_default().ca.get_or_insert_default();
        ca.builtin.get_or_insert_default();
    }

    fn validate(&self) -> Violations {
        let mut violations = Violations::default();
        if let Some(mtls) = &self.mtls {
            mtls.validate(&mut violations);
        }
        if let Some(logging) = &self.logging {
            logging.validate(&mut violations);
        }
        violations
    }

    fn schema() -> Value {
        let builtin = object("The CA that the control plane makes and keeps.", []);
        let ca = object("Exactly one CA.", [("builtin", builtin)]);
        let mtls = object(
            "Mutual TLS between the dataplanes of the mesh.",
            [
                ("ca", ca),
                ("enabled", boolean("Whether dataplanes demand and present certificates.")),
                ("permissive", boolean(PERMISSIVE)),
            ],
        );
        let zipkin = object("A Zipkin collector.", [("address", text("Where it listens."))]);
        let tracing = object("Kept, without effect.", [("zipkin", zipkin)]);
        object(
            "A set of dataplanes that know each other.",
            [("mtls", mtls), ("tracing", tracing), ("logging", Logging::schema())],
        )
    }

    fn example() -> Value {
        json!({
            "name": "mesh-1",
            "type": "Mesh",
            "mtls": {"ca": {"builtin": {}}, "enabled": true},
            "tracing": {},
            "logging": {
                "backends": [
                    {
                        "name": "file-tmp",
                        "format": "{ \"destination\": \"%KUMA_DESTINATION_SERVICE%\", \"destinationAddress\": \
                                   \"%UPSTREAM_LOCAL_ADDRESS%\", \"source\": \"%KUMA_SOURCE_SERVICE%\", \"sourceAddress\": \
                                   \"%KUMA_SOURCE_ADDRESS%\", \"bytesReceived\": \"%BYTES_RECEIVED%\", \"bytesSent\": \
                                   \"%BYTES_SENT%\"}",
                        "file": {"path": "/tmp/access.log"},
                    },
                    {"name": "logstash", "tcp": {"address": "logstash.internal:9000"}},
                ],
            },
        })
    }
}

impl Mtls {
    /// Cannot fail after [`Resource::set_defaults`].
    fn validate(&self, violations: &mut Violations) {
        let has_ca = self.ca.as_ref().is_some_and(|ca| ca.builtin.is_some());
        if self.enabled && !has_ca {
            violations.add("mtls.ca", "has to be set when mTLS is enabled");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::check_printed;

    #[test]
    fn a_mesh_without_a_ca_gets_the_builtin_one() {
        for spec in
            [json!({}), json!({"mtls": null}), json!({"mtls": {"ca": null}}), json!({"mtls": {"ca": {}}})]
        {
            let mut mesh = Mesh::deserialize(&spec).unwrap();
            mesh.set_defaults();
            assert_eq!(
                serde_json::to_value(&mesh).unwrap(),
                json!({"mtls": {"ca": {"builtin": {}}}}),
                "{spec}"
            );
        }
    }

    #[test]
    fn mtls_needs_a_ca() {
        for (mtls, is_valid) in [
            (json!({"enabled": true, "ca": {"builtin": {}}}), true),
            (json!({"enabled": false}), true),
            (json!({"enabled": true}), false),
            (json!({"enabled": true, "ca": {}}), false),
        ] {
            let violations = Mesh::deserialize(json!({ "mtls": mtls })).unwrap().validate();
            let expected = if is_valid { "" } else { "mtls.ca: has to be set when mTLS is enabled" };
            assert_eq!(violations.to_string(), expected, "{mtls}");
        }
    }

    #[test]
    fn empty_messages_and_lists_stay_and_default_scalars_do_not() {
        for (read, printed) in [
            (
                r#"{"tracing":{"zipkin":{"address":""}},"logging":{}}"#,
                r#"{"tracing":{"zipkin":{}},"logging":{}}"#,
            ),
            (r#"{"logging":{"defaultBackend":"","backends":[]}}"#, r#"{"logging":{"backends":[]}}"#),
            (r#"{"mtls":{"enabled":false,"ca":{"builtin":null}},"logging":null}"#, r#"{"mtls":{"ca":{}}}"#),
        ] {
            check_printed::<Mesh>(read, printed);
        }
    }
}
