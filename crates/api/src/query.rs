//! What stands behind the question mark.
//!
//! A parameter that nobody knows is ignored (Kuma 0.3.0), and of one that is named twice the last counts. A value that
//! cannot be meant is refused: `?dryRun=yes` must not become a write.

use http::Uri;
use model::Tags;

use crate::respond::Refusal;

/// The parameters in their order, decoded.
pub(crate) struct Query(Vec<(String, String)>);

/// A piece of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) offset: usize,
    pub(crate) size: usize,
}

/// As in Kuma's later versions.
pub(crate) const PAGE_SIZE: usize = 100;
pub(crate) const PAGE_SIZE_MAX: usize = 1000;

impl Query {
    pub(crate) fn of(uri: &Uri) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// `true` or `false`; absent is `false`.
    pub(crate) fn flag(&self, name: &str, title: &'static str) -> Result<bool, Refusal> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::bad_request(title, format!("{name} is true or false."))),
        }
    }

    /// The text that a name must contain. An empty one is in every name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.get("name").filter(|name| !name.is_empty())
    }

    /// The `tag=key:value`s. One without exactly one colon is ignored, and of one key the last counts (Kuma 0.3.0).
    pub(crate) fn tags(&self) -> Tags {
        let filters = self.0.iter().filter(|(name, _)| name == "tag");
        let pairs = filters.filter_map(|(_, filter)| {
            let (key, value) = filter.split_once(':')?;
            (!value.contains(':')).then(|| (key.to_owned(), value.to_owned()))
        });
        pairs.collect()
    }

    /// `None` when no page is asked for, and so the whole list.
    pub(crate) fn page(&self, title: &'static str) -> Result<Option<Page>, Refusal> {
        let (size, offset) = (self.get("size"), self.get("offset"));
        if size.is_none() && offset.is_none() {
            return Ok(None);
        }
        let size = size.map_or(Some(PAGE_SIZE), |size| size.parse().ok());
        let offset = offset.map_or(Some(0), |offset| offset.parse().ok());
        let Some(size) = size.filter(|size| (1..=PAGE_SIZE_MAX).contains(size)) else {
            let details = format!("size is a number from 1 to {PAGE_SIZE_MAX}.");
            return Err(Refusal::bad_request(title, details));
        };
        let Some(offset) = offset else {
            return Err(Refusal::bad_request(title, "offset is a number from 0 on."));
        };
        Ok(Some(Page { offset, size }))
    }

    /// The query that asks for another page of the same list.
    pub(crate) fn with_page(&self, page: Page) -> String {
        let others = self.0.iter().filter(|(name, _)| name != "size" && name != "offset");
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair("size", &page.size.to_string())
            .append_pair("offset", &page.offset.to_string())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&format!("/meshes/m/dataplanes{text}").parse().unwrap())
    }

    #[test]
    fn a_tag_filter_has_exactly_one_colon_and_of_one_key_the_last_counts() {
        for (text, expected) in [
            ("", &[][..]),
            ("?tag=service:web", &[("service", "web")]),
            ("?tag=service%3Aweb&x=1", &[("service", "web")]),
            ("?tag=service:web&tag=version:1", &[("service", "web"), ("version", "1")]),
            ("?tag=service:web&tag=service:api", &[("service", "api")]),
            ("?tag=service:", &[("service", "")]),
            ("?tag=a+b:c%20d", &[("a b", "c d")]),
            ("?tag=&tag=service&tag=a:b:c", &[]),
        ] {
            let expected: Tags = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(query(text).tags(), expected, "{text}");
        }
    }

    #[test]
    fn a_page_is_asked_for_in_numbers() {
        let page = |text: &str| query(text).page("t").map_err(|refusal| refusal.details.into_owned());
        let size = || Err("size is a number from 1 to 1000.".to_owned());
        let offset = || Err("offset is a number from 0 on.".to_owned());
        for (text, expected) in [
            ("", Ok(None)),
            ("?size=10", Ok(Some(Page { offset: 0, size: 10 }))),
            ("?offset=7", Ok(Some(Page { offset: 7, size: 100 }))),
            ("?size=1&size=2&offset=3", Ok(Some(Page { offset: 3, size: 2 }))),
            ("?size=1000", Ok(Some(Page { offset: 0, size: 1000 }))),
            ("?size=1001", size()),
            ("?size=0", size()),
            ("?size=", size()),
            ("?size=-1", size()),
            ("?offset=x", offset()),
            ("?offset=99999999999999999999999", offset()),
        ] {
            assert_eq!(page(text), expected, "{text}");
        }
    }

    #[test]
    fn another_page_keeps_the_filters() {
        let asked = query("?name=w%26b&size=3&tag=a:b%20c&offset=0");
        let next = asked.with_page(Page { offset: 3, size: 3 });
        assert_eq!(next, "name=w%26b&tag=a%3Ab+c&size=3&offset=3");
    }

    #[test]
    fn a_flag_is_true_or_false() {
        let flag = |text: &str| query(text).flag("dryRun", "t").ok();
        assert_eq!(flag(""), Some(false));
        assert_eq!(flag("?dryRun=true"), Some(true));
        assert_eq!(flag("?dryRun=false"), Some(false));
        for text in ["?dryRun", "?dryRun=1", "?dryRun=True", "?dryRun=true&dryRun=yes"] {
            assert_eq!(flag(text), None, "{text}");
        }
    }
}
