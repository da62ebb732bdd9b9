//! TrafficPermission: which services may talk to which, in a mesh with mTLS.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Selector, Tags, Violations,
    kind::Resource,
    schema::{object, requiring, service_selectors},
    selector_rules::{self, AllowedTags},
    wire,
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficPermission {
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<Selector>>,
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub destinations: Option<Vec<Selector>>,
}

impl TrafficPermission {
    pub fn sources(&self) -> &[Selector] {
        self.sources.as_deref().unwrap_or_default()
    }

    pub fn destinations(&self) -> &[Selector] {
        self.destinations.as_deref().unwrap_or_default()
    }
}

impl Resource for TrafficPermission {
    fn validate(&self) -> Violations {
        let mut violations = Violations::default();
        for (field, list) in [("sources", self.sources()), ("destinations", self.destinations())] {
            selector_rules::at_least_one_element(field, list, &mut violations);
            selector_rules::selectors(field, list, AllowedTags::ServiceOnly, &mut violations);
        }
        violations
    }

    fn tag_sets(&self) -> Vec<&Tags> {
        self.sources().iter().chain(self.destinations()).map(Selector::tags).collect()
    }

    fn schema() -> Value {
        let permission = object(
            "Which services may talk to which. In a mesh with mTLS nothing else is allowed.",
            [
                ("sources", service_selectors("Who may talk.")),
                ("destinations", service_selectors("To whom.")),
            ],
        );
        requiring(permission, ["sources", "destinations"])
    }

    fn example() -> Value {
        json!({
            "type": "TrafficPermission",
            "name": "tp-1",
            "mesh": "mesh-1",
            "sources": [{"match": {"service": "backend"}}],
            "destinations": [{"match": {"service": "redis"}}],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::check_violations;

    #[test]
    fn sources_are_judged_before_destinations_and_both_name_service_alone() {
        check_violations::<TrafficPermission>(
            &json!({}),
            &[
                ("sources", "must have at least one element"),
                ("destinations", "must have at least one element"),
            ],
        );
        check_violations::<TrafficPermission>(
            &json!({
                "destinations": [{"match": {"service": "b", "version": "1"}}],
                "sources": [{"match": {"service": "*"}}, null],
            }),
            &[
                ("sources[1].match", "must consist of exactly one tag \"service\""),
                ("sources[1].match", "mandatory tag \"service\" is missing"),
                ("destinations[0].match", "must consist of exactly one tag \"service\""),
                ("destinations[0].match[\"version\"]", "tag \"version\" is not allowed"),
            ],
        );
    }
}
