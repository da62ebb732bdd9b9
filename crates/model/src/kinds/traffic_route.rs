//! TrafficRoute: how the connections of some sources to some services are split over tagged endpoints.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Selector, Tags, Violations,
    kind::Resource,
    schema::{integer, non_empty_list, object, requiring, selectors, service_selectors, tags},
    selector_rules::{self, AllowedTags},
    wire,
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficRoute {
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<Selector>>,
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub destinations: Option<Vec<Selector>>,
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub conf: Option<Vec<WeightedDestination>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedDestination {
    /// Of the sum of all weights, which need not be 100. 0 takes nothing.
    #[serde(default, deserialize_with = "wire::uint32", skip_serializing_if = "wire::is_default")]
    pub weight: u32,
    #[serde(default, with = "wire::map", skip_serializing_if = "Option::is_none")]
    pub destination: Option<Tags>,
}

impl TrafficRoute {
    pub fn sources(&self) -> &[Selector] {
        self.sources.as_deref().unwrap_or_default()
    }

    pub fn destinations(&self) -> &[Selector] {
        self.destinations.as_deref().unwrap_or_default()
    }

    pub fn conf(&self) -> &[WeightedDestination] {
        self.conf.as_deref().unwrap_or_default()
    }
}

impl WeightedDestination {
    pub fn destination(&self) -> &Tags {
        static NONE: Tags = Tags::new();
        self.destination.as_ref().unwrap_or(&NONE)
    }
}

impl Resource for TrafficRoute {
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
        selector_rules::at_least_one_element("conf", self.conf(), &mut violations);
        for (i, weighted) in self.conf().iter().enumerate() {
            let path = format!("conf[{i}].destination");
            selector_rules::tags(&path, weighted.destination(), AllowedTags::Any, &mut violations);
        }
        // Kuma 0.3.0 took it, and Envoy then refused the cluster weights.
        if !self.conf().is_empty() && self.conf().iter().all(|weighted| weighted.weight == 0) {
            violations.add("conf", "must have at least one element with a weight above 0");
        }
        violations
    }

    fn schema() -> Value {
        let weighted = object(
            "A share of the connections and where they go.",
            [
                ("weight", integer("Of the sum of all weights.", u32::MAX)),
                (
                    "destination",
                    tags("The tags of the endpoints, among them their service; `*` is any value."),
                ),
            ],
        );
        let route = object(
            "How the connections of some sources to some services are split over tagged endpoints.",
            [
                ("sources", selectors("Whose connections.")),
                ("destinations", service_selectors("To which services.")),
                ("conf", non_empty_list(requiring(weighted, ["destination"]))),
            ],
        );
        requiring(route, ["sources", "destinations", "conf"])
    }
}
