//! TrafficRoute: how the connections of some sources to some services are split over tagged endpoints.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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

    fn tag_sets(&self) -> Vec<&Tags> {
        self.sources().iter().chain(self.destinations()).map(Selector::tags).collect()
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

    fn example() -> Value {
        json!({
            "type": "TrafficRoute",
            "name": "web-to-backend",
            "mesh": "mesh-1",
            "sources": [{"match": {"region": "us-east-1", "service": "web", "version": "v10"}}],
            "destinations": [{"match": {"service": "backend"}}],
            "conf": [
                {"weight": 90, "destination": {"region": "us-east-1", "service": "backend", "version": "v2"}},
                {"weight": 10, "destination": {"service": "backend", "version": "v3"}},
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{check_printed, check_violations};

    #[test]
    fn sources_destinations_and_conf_are_required() {
        check_violations::<TrafficRoute>(
            &json!({"conf": [], "destinations": null}),
            &[
                ("sources", "must have at least one element"),
                ("destinations", "must have at least one element"),
                ("conf", "must have at least one element"),
            ],
        );
    }

    #[test]
    fn all_violations_of_a_route_are_reported_in_order() {
        check_violations::<TrafficRoute>(
            &json!({
                "conf": [{"weight": 0, "destination": {"service": "", "version": "*"}}, {}],
                "destinations": [{"match": {"service": "*"}}, {"match": {"service": "b", "version": "1"}}],
                "sources": [{"match": {"service": "web", "version": "1"}}, {"match": {"version": "1"}}, null],
            }),
            &[
                ("sources[1].match", "mandatory tag \"service\" is missing"),
                ("sources[2].match", "must have at least one tag"),
                ("sources[2].match", "mandatory tag \"service\" is missing"),
                ("destinations[1].match", "must consist of exactly one tag \"service\""),
                ("destinations[1].match[\"version\"]", "tag \"version\" is not allowed"),
                ("conf[0].destination[\"service\"]", "tag value must be non-empty"),
                ("conf[1].destination", "must have at least one tag"),
                ("conf[1].destination", "mandatory tag \"service\" is missing"),
                ("conf", "must have at least one element with a weight above 0"),
            ],
        );
    }

    #[test]
    fn weights_need_not_add_up_to_100_but_not_all_be_0() {
        const ALL_ZERO: &[(&str, &str)] = &[("conf", "must have at least one element with a weight above 0")];
        let route = |weights: &[u32]| {
            let to = json!({"service": "b"});
            let conf: Vec<_> =
                weights.iter().map(|weight| json!({"weight": weight, "destination": to})).collect();
            json!({"sources": [{"match": to}], "destinations": [{"match": to}], "conf": conf})
        };
        check_violations::<TrafficRoute>(&route(&[3, 0, 1000]), &[]);
        check_violations::<TrafficRoute>(&route(&[u32::MAX, u32::MAX]), &[]);
        check_violations::<TrafficRoute>(&route(&[0]), ALL_ZERO);
        check_violations::<TrafficRoute>(&route(&[0, 0]), ALL_ZERO);
    }

    #[test]
    fn a_weight_is_a_number_or_a_string_of_digits() {
        for (weight, expected) in [
            ("10", Ok("10")),
            ("\"10\"", Ok("10")),
            ("\"4294967295\"", Ok("4294967295")),
            ("4294967296", Err("invalid value: integer `4294967296`")),
            ("-1", Err("invalid value: integer `-1`")),
            ("1.0", Err("invalid type: floating point `1.0`")),
            ("1e1", Err("invalid type: floating point `10.0`")),
            ("\"1.5\"", Err("invalid value: string \"1.5\"")),
            ("\"+1\"", Err("invalid value: string \"+1\"")),
            ("\"\"", Err("invalid value: string \"\"")),
            ("true", Err("invalid type: boolean `true`")),
            ("[1]", Err("invalid type: sequence")),
        ] {
            let json = format!(r#"{{"conf":[{{"weight":{weight}}}]}}"#);
            match expected {
                Ok(printed) => {
                    check_printed::<TrafficRoute>(&json, &format!(r#"{{"conf":[{{"weight":{printed}}}]}}"#));
                }
                Err(part) => {
                    let error = serde_json::from_str::<TrafficRoute>(&json).expect_err(&json).to_string();
                    assert!(error.starts_with(part), "{json}: {error}");
                }
            }
        }
        check_printed::<TrafficRoute>(r#"{"conf":[{"weight":null},{"weight":0}]}"#, r#"{"conf":[{},{}]}"#);
    }
}
