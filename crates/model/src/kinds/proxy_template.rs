//! ProxyTemplate: what the proxies of some dataplanes are given besides, or instead of, what the control plane makes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Selector, Tags, Violations,
    kind::Resource,
    schema::{list, non_empty_text, object, requiring, selectors},
    selector_rules::{self, AllowedTags},
    wire,
};

/// The profile that stands for everything the control plane makes of its own; the only one there is.
pub const DEFAULT_PROFILE: &str = "default-proxy";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyTemplate {
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub selectors: Option<Vec<Selector>>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub conf: Option<TemplateConf>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateConf {
    #[serde(default, deserialize_with = "wire::strings", skip_serializing_if = "Option::is_none")]
    pub imports: Option<Vec<String>>,
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<RawResource>>,
}

/// One resource in Envoy's own words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawResource {
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub name: String,
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub version: String,
    /// YAML or JSON of an `Any`: the message's fields and its `@type`. Kept byte for byte.
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub resource: String,
}

impl ProxyTemplate {
    pub fn selectors(&self) -> &[Selector] {
        self.selectors.as_deref().unwrap_or_default()
    }

    pub fn imports(&self) -> &[String] {
        self.conf.as_ref().and_then(|conf| conf.imports.as_deref()).unwrap_or_default()
    }

    pub fn resources(&self) -> &[RawResource] {
        self.conf.as_ref().and_then(|conf| conf.resources.as_deref()).unwrap_or_default()
    }

    /// [`Resource::validate`], and `judge` says of each text that is not empty why it is no resource of Envoy's. It is an
    /// argument because that needs Envoy's types, and belongs here because all violations are reported in one order.
    pub fn validate_with(&self, judge: impl Fn(&str) -> Result<(), String>) -> Violations {
        let mut violations = Violations::default();
        selector_rules::selectors("selectors", self.selectors(), AllowedTags::Any, &mut violations);
        for (i, profile) in self.imports().iter().enumerate() {
            let path = format!("conf.imports[{i}]");
            if profile.is_empty() {
                violations.add(path, "cannot be empty");
            } else if profile != DEFAULT_PROFILE {
                violations.add(path, format!("profile not found. Available profiles: {DEFAULT_PROFILE}"));
            }
        }
        for (i, raw) in self.resources().iter().enumerate() {
            let path = format!("conf.resources[{i}]");
            for (field, text) in [("name", &raw.name), ("version", &raw.version), ("resource", &raw.resource)]
            {
                if text.is_empty() {
                    violations.add(format!("{path}.{field}"), "cannot be empty");
                }
            }
            if !raw.resource.is_empty()
                && let Err(reason) = judge(&raw.resource)
            {
                violations
                    .add(format!("{path}.resource"), format!("native Envoy resource is not valid: {reason}"));
            }
        }
        violations
    }
}

impl Resource for ProxyTemplate {
    /// All that can be known without Envoy's types.
    fn validate(&self) -> Violations {
        self.validate_with(|_| Ok(()))
    }

    fn tag_sets(&self) -> Vec<&Tags> {
        self.selectors().iter().map(Selector::tags).collect()
    }

    fn schema() -> Value {
        let resource = "YAML or JSON of a resource of Envoy's, in its v3 or v2 API, with its `@type`.";
        let raw = object(
            "A resource in Envoy's own words.",
            [
                ("name", non_empty_text("Under which it stands for the one that it overrides.")),
                ("version", non_empty_text("Kept, and of no meaning to the control plane.")),
                ("resource", non_empty_text(resource)),
            ],
        );
        let imports = json!({
            "type": "array",
            "description": "What the control plane makes of its own is given only where its profile is imported.",
            "items": {"enum": [DEFAULT_PROFILE]},
        });
        let conf = object(
            "What the proxies are given.",
            [("imports", imports), ("resources", list(requiring(raw, ["name", "version", "resource"])))],
        );
        let mut which = selectors("Whose proxies.");
        if let Some(which) = which.as_object_mut() {
            which.remove("minItems");
        }
        object(
            "What the proxies of some dataplanes are given, in Envoy's own words.",
            [("selectors", which), ("conf", conf)],
        )
    }

    fn example() -> Value {
        let cluster = "'@type': type.googleapis.com/envoy.api.v2.Cluster\nconnectTimeout: 5s\nloadAssignment:\n  clusterName: \
                       localhost:8443\n  endpoints:\n    - lbEndpoints:\n        - endpoint:\n            address:\n              \
                       socketAddress:\n                address: 127.0.0.1\n                portValue: 8443\nname: \
                       localhost:8443\ntype: STATIC\n";
        json!({
            "type": "ProxyTemplate",
            "name": "pt-1",
            "mesh": "mesh-1",
            "selectors": [{"match": {"service": "backend"}}],
            "conf": {
                "imports": ["default-proxy"],
                "resources": [{"name": "raw-name", "version": "raw-version", "resource": cluster}],
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{check_printed, check_violations};

    #[test]
    fn everything_is_optional_and_what_was_given_comes_back() {
        check_violations::<ProxyTemplate>(&json!({}), &[]);
        for json in [r"{}", r#"{"selectors":[],"conf":{"imports":[],"resources":[]}}"#, r#"{"conf":{}}"#] {
            check_printed::<ProxyTemplate>(json, json);
        }
        check_printed::<ProxyTemplate>(
            r#"{"conf":{"imports":[null],"resources":[null]}}"#,
            r#"{"conf":{"imports":[""],"resources":[{}]}}"#,
        );
    }

    #[test]
    fn all_violations_are_reported_in_order() {
        check_violations::<ProxyTemplate>(
            &json!({
                "conf": {
                    "resources": [{"name": "n"}, {"version": "v", "resource": "x"}],
                    "imports": ["", DEFAULT_PROFILE, "Default-Proxy"],
                },
                "selectors": [{"match": {"service": "*", "version": "1"}}, {}],
            }),
            &[
                ("selectors[1].match", "must have at least one tag"),
                ("selectors[1].match", "mandatory tag \"service\" is missing"),
                ("conf.imports[0]", "cannot be empty"),
                ("conf.imports[2]", "profile not found. Available profiles: default-proxy"),
                ("conf.resources[0].version", "cannot be empty"),
                ("conf.resources[0].resource", "cannot be empty"),
                ("conf.resources[1].name", "cannot be empty"),
            ],
        );
    }

    #[test]
    fn a_text_is_judged_in_its_place_among_the_violations() {
        let template: ProxyTemplate = serde_json::from_value(json!({"conf": {"resources": [
            {"version": "v", "resource": "bad"},
            {"name": "n", "resource": ""},
            {"name": "n", "version": "v", "resource": "good"},
        ]}}))
        .unwrap();
        let judge = |text: &str| if text == "good" { Ok(()) } else { Err(format!("{text:?} is bad")) };
        assert_eq!(
            template.validate_with(judge).to_string(),
            "conf.resources[0].name: cannot be empty; \
             conf.resources[0].resource: native Envoy resource is not valid: \"bad\" is bad; \
             conf.resources[1].version: cannot be empty; \
             conf.resources[1].resource: cannot be empty"
        );
    }
}
