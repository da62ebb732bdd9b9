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
