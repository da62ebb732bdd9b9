//! What a selector must be. The policies share these rules and differ in which tags their selectors may name.
//!
//! Messages and order are Kuma 0.3.0's: within one selector first how many tags, then tag by tag in byte order of the
//! keys, last the missing `service`.

use crate::{SERVICE_TAG, Selector, Tags, Violations, quoted::quoted};

/// Which tags a selector may name. It must name `service` in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AllowedTags {
    Any,
    ServiceOnly,
}

/// For a list that is required.
pub(crate) fn at_least_one_element<T>(path: &str, list: &[T], violations: &mut Violations) {
    if list.is_empty() {
        violations.add(path, "must have at least one element");
    }
}

/// Each selector of the list at `path`.
pub(crate) fn selectors(path: &str, list: &[Selector], allowed: AllowedTags, violations: &mut Violations) {
    for (i, selector) in list.iter().enumerate() {
        tags(&format!("{path}[{i}].match"), selector.tags(), allowed, violations);
    }
}

/// The tags of one selector. `path` leads to the map itself.
pub(crate) fn tags(path: &str, tags: &Tags, allowed: AllowedTags, violations: &mut Violations) {
    match allowed {
        AllowedTags::Any if tags.is_empty() => violations.add(path, "must have at least one tag"),
        AllowedTags::ServiceOnly if tags.len() != 1 || !tags.contains_key(SERVICE_TAG) => {
            violations.add(path, format!("must consist of exactly one tag \"{SERVICE_TAG}\""));
        }
        _ => {}
    }
    for (key, value) in tags {
        tag(path, key, value, allowed, violations);
    }
    if !tags.contains_key(SERVICE_TAG) {
        violations.add(path, format!("mandatory tag \"{SERVICE_TAG}\" is missing"));
    }
}

fn tag(path: &str, key: &str, value: &str, allowed: AllowedTags, violations: &mut Violations) {
    if key.is_empty() {
        violations.add(path, "tag key must be non-empty");
    }
    if allowed == AllowedTags::ServiceOnly && key != SERVICE_TAG {
        let key = quoted(key);
        violations.add(format!("{path}[{key}]"), format!("tag {key} is not allowed"));
    }
    if value.is_empty() {
        violations.add(format!("{path}[{}]", quoted(key)), "tag value must be non-empty");
    }
}

#[cfg(test)]
mod tests {
    use AllowedTags::{Any, ServiceOnly};

    use super::*;

    const NO_TAG: &str = "match: must have at least one tag";
    const NOT_ONE: &str = "match: must consist of exactly one tag \"service\"";
    const NO_SERVICE: &str = "match: mandatory tag \"service\" is missing";
    const EMPTY_KEY: &str = "match: tag key must be non-empty";

    #[track_caller]
    fn check(allowed: AllowedTags, selector: &[(&str, &str)], expected: &[&str]) {
        let selector = selector.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut violations = Violations::default();
        tags("match", &selector, allowed, &mut violations);
        let found: Vec<_> = violations.0.iter().map(|it| format!("{}: {}", it.field, it.message)).collect();
        assert_eq!(found, expected, "{selector:?}");
    }

    #[test]
    fn where_any_tags_are_allowed_service_is_among_them() {
        check(Any, &[("service", "web"), ("version", "*")], &[]);
        check(Any, &[], &[NO_TAG, NO_SERVICE]);
        check(Any, &[("version", "1")], &[NO_SERVICE]);
        check(
            Any,
            &[("service", ""), ("", ""), ("A", "")],
            &[
                EMPTY_KEY,
                "match[\"\"]: tag value must be non-empty",
                "match[\"A\"]: tag value must be non-empty",
                "match[\"service\"]: tag value must be non-empty",
            ],
        );
    }

    #[test]
    fn where_only_service_is_allowed_it_stands_alone() {
        check(ServiceOnly, &[("service", "*")], &[]);
        check(ServiceOnly, &[], &[NOT_ONE, NO_SERVICE]);
        check(ServiceOnly, &[("service", "")], &["match[\"service\"]: tag value must be non-empty"]);
        check(
            ServiceOnly,
            &[("service", "b"), ("k\"\\\n", "é")],
            &[NOT_ONE, "match[\"k\\\"\\\\\\n\"]: tag \"k\\\"\\\\\\n\" is not allowed"],
        );
        check(
            ServiceOnly,
            &[("", "")],
            &[
                NOT_ONE,
                EMPTY_KEY,
                "match[\"\"]: tag \"\" is not allowed",
                "match[\"\"]: tag value must be non-empty",
                NO_SERVICE,
            ],
        );
    }
}
