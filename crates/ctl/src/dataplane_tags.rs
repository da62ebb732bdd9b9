//! The column TAGS: what all inbounds of a dataplane carry, together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// `env=prod service=admin,web`: keys in order, the values of all inbounds merged and in order.
///
/// What is no text is passed over: a newer control plane may say more than is known here.
pub(crate) fn cell(dataplane: &Value) -> String {
    let mut tags = BTreeMap::<&str, BTreeSet<&str>>::new();
    let inbounds = dataplane["networking"]["inbound"].as_array();
    for inbound in inbounds.into_iter().flatten() {
        for (key, value) in inbound["tags"].as_object().into_iter().flatten() {
            tags.entry(key).or_default().extend(value.as_str());
        }
    }
    let merged = |(key, values): (_, BTreeSet<&str>)| {
        format!("{key}={}", values.into_iter().collect::<Vec<_>>().join(","))
    };
    tags.into_iter().map(merged).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_tags_of_all_inbounds_are_merged_in_order() {
        for (networking, expected) in [
            (
                json!({"inbound": [
                    {"tags": {"service": "web", "version": "2"}},
                    {"tags": {"service": "admin", "version": "2", "env": "prod"}},
                ]}),
                "env=prod service=admin,web version=2",
            ),
            (json!({"inbound": []}), ""),
            (json!({"inbound": [{"interface": "x"}, {"tags": null}]}), ""),
            (json!(null), ""),
        ] {
            assert_eq!(cell(&json!({"networking": networking})), expected);
        }
    }
}
