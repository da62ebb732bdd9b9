//! TrafficLog: which connections are logged, and to which of the mesh's logging backends.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Selector, Tags, Violations,
    kind::Resource,
    schema::{object, requiring, selectors, service_selectors, text},
    selector_rules::{self, AllowedTags},
    wire,
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficLog {
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<Selector>>,
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub destinations: Option<Vec<Selector>>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub conf: Option<LogConf>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConf {
    /// Empty for the mesh's default backend. That the mesh has it is no condition of being stored (Kuma 0.3.0).
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub backend: String,
}

impl TrafficLog {
    pub fn sources(&self) -> &[Selector] {
        self.sources.as_deref().unwrap_or_default()
    }

    pub fn destinations(&self) -> &[Selector] {
        self.destinations.as_deref().unwrap_or_default()
    }

    /// The backend that it names; `None` for the mesh's default one.
    pub fn backend(&self) -> Option<&str> {
        self.conf.as_ref().map(|conf| conf.backend.as_str()).filter(|backend| !backend.is_empty())
    }
}

impl Resource for TrafficLog {
    fn validate(&self) -> Violations {
        let mut violations = Violations::default();
        selector_rules::at_least_one_element("sources", self.sources(), &mut violations);
        selector_rules::selectors("sources", self.sources(), AllowedTags::Any, &mut violations);
        selector_rules::at_least_one_element("destinations", self.destinations(), &mut violations);
        selector_rules::selectors(
            "destinations",
            self.destinations(),
            AllowedTags::ServiceOnly,
            &mut violations,
        );
        violations
    }

    fn tag_sets(&self) -> Vec<&Tags> {
        self.sources().iter().chain(self.destinations()).map(Selector::tags).collect()
    }

    fn schema() -> Value {
        let conf = object(
            "Where the log goes.",
            [("backend", text("The name of a backend of the mesh; by default the mesh's default backend."))],
        );
        let log = object(
            "Which connections are logged, and where.",
            [
                ("sources", selectors("Whose connections.")),
                ("destinations", service_selectors("To which services.")),
                ("conf", conf),
            ],
        );
        requiring(log, ["sources", "destinations"])
    }

    fn example() -> Value {
        json!({
            "type": "TrafficLog",
            "mesh": "mesh-1",
            "name": "tl-1",
            "sources": [{"match": {"service": "web", "version": "1.0"}}],
            "destinations": [{"match": {"service": "backend"}}],
            "conf": {"backend": "file"},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{check_printed, check_violations};

    #[test]
    fn sources_may_name_any_tags_and_destinations_service_alone() {
        check_violations::<TrafficLog>(
            &json!({
                "sources": [{"match": {"service": "web", "version": "1"}}, {"match": {"version": "1"}}],
                "destinations": [{"match": {"service": "b", "version": "1"}}],
            }),
            &[
                ("sources[1].match", "mandatory tag \"service\" is missing"),
                ("destinations[0].match", "must consist of exactly one tag \"service\""),
                ("destinations[0].match[\"version\"]", "tag \"version\" is not allowed"),
            ],
        );
        check_violations::<TrafficLog>(
            &json!({"sources": [], "conf": {"backend": "x"}}),
            &[
                ("sources", "must have at least one element"),
                ("destinations", "must have at least one element"),
            ],
        );
    }

    #[test]
    fn a_backend_that_is_not_named_is_the_default_one() {
        for (json, backend) in [
            (r"{}", None),
            (r#"{"conf":{}}"#, None),
            (r#"{"conf":{"backend":""}}"#, None),
            (r#"{"conf":{"backend":"file"}}"#, Some("file")),
        ] {
            let log: TrafficLog = serde_json::from_str(json).unwrap();
            assert_eq!(log.backend(), backend, "{json}");
        }
        check_printed::<TrafficLog>(r#"{"conf":{"backend":null}}"#, r#"{"conf":{}}"#);
        check_printed::<TrafficLog>(r#"{"conf":null}"#, "{}");
    }
}
