//! Tags, selectors over them, and which of two selectors is the more specific.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire;

/// The tags of an inbound, or of a destination. In byte order of their keys.
pub type Tags = BTreeMap<String, String>;

/// The tag that names a service; every inbound has it.
pub const SERVICE_TAG: &str = "service";

/// In a selector: any value of the tag, which must still be there.
pub const ANY_VALUE: &str = "*";

/// `{"match": {tag: value}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Absent and `{}` are the same to Kuma, except that the second comes back.
    #[serde(rename = "match", default, with = "wire::map", skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
}

/// How specific a selector is (Kuma 0.3.0): more tags first, then more exact ones among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    pub tags: usize,
    pub exact: usize,
}

impl Selector {
    pub fn tags(&self) -> &Tags {
        static NONE: Tags = Tags::new();
        self.tags.as_ref().unwrap_or(&NONE)
    }

    pub fn matches(&self, tags: &Tags) -> bool {
        matches(self.tags(), tags)
    }

    pub fn rank(&self) -> Rank {
        let exact = self.tags().values().filter(|value| *value != ANY_VALUE).count();
        Rank { tags: self.tags().len(), exact }
    }
}

/// Whether `tags` has every tag that `wanted` names, with the same value or, for [`ANY_VALUE`], any. Nothing wanted
/// matches everything.
pub fn matches(wanted: &Tags, tags: &Tags) -> bool {
    wanted.iter().all(|(key, want)| tags.get(key).is_some_and(|have| want == ANY_VALUE || want == have))
}

/// Component by component: of a source and a destination that belong together.
impl std::ops::Add for Rank {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { tags: self.tags + other.tags, exact: self.exact + other.exact }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(tags: &[(&str, &str)]) -> Selector {
        Selector { tags: Some(tags.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()) }
    }

    #[test]
    fn two_wildcards_outrank_one_exact_tag() {
        let wide = selector(&[("service", "*"), ("version", "*")]);
        assert!(wide.rank() > selector(&[("service", "web")]).rank());
        assert!(selector(&[("service", "web")]).rank() > selector(&[("service", "*")]).rank());
    }

    #[test]
    fn any_value_still_wants_the_tag() {
        let web = selector(&[("service", "web")]);
        assert!(Selector::default().matches(&Tags::new()));
        assert!(selector(&[("service", "*")]).matches(web.tags()));
        assert!(!selector(&[("version", "*")]).matches(web.tags()));
        assert!(!selector(&[("service", "api")]).matches(web.tags()));
    }
}
