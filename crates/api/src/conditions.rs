//! Conditional requests (RFC 9110, section 13): writes that mind what is there, reads of what has changed.

use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use model::Key;
use store::{Precondition, Revision};

use crate::respond::Refusal;

/// The value of `If-Match` or `If-None-Match`.
enum Tags<'a> {
    Any,
    /// Entity tags as they stand, quotes and all.
    These(Vec<&'a str>),
}

/// The condition of one operation in a transaction: what `If-Match` would have, the quotes left out or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// That the entity is there.
    Any,
    At(Revision),
    /// Of a text that is no tag of ours: nothing is what it says.
    Never,
}

impl Condition {
    pub(crate) fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::Any;
        }
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        bare.unwrap_or(text).parse().map_or(Self::Never, Self::At)
    }

    pub(crate) fn holds(self, current: Option<Revision>) -> bool {
        match self {
            Self::Any => current.is_some(),
            Self::At(revision) => current == Some(revision),
            Self::Never => false,
        }
    }
}

/// The strong tag of an entity that was last changed at `revision`.
pub(crate) fn etag(revision: Revision) -> String {
    format!("\"{revision}\"")
}

/// What must still hold in the instant of a write, or 412 when it does not hold now.
pub(crate) fn preconditions(
    headers: &HeaderMap,
    key: &Key,
    current: Option<Revision>,
    title: &'static str,
) -> Result<Vec<Precondition>, Refusal> {
    let mut held = Vec::new();
    match tags(headers, &IF_MATCH) {
        None => {}
        Some(Tags::Any) => held.push(Precondition::Exists(key.clone())),
        Some(Tags::These(tags)) => match current.filter(|current| tags.contains(&etag(*current).as_str())) {
            Some(current) => held.push(Precondition::At(key.clone(), current)),
            None => return Err(changed(title)),
        },
    }
    let none_match = tags(headers, &IF_NONE_MATCH);
    if let Some(Tags::These(tags)) = &none_match
        && !tags.iter().all(|tag| is_tag(tag))
    {
        // A tag that cannot be read matches nothing, and so this condition would be none.
        return Err(Refusal::bad_request(title, "If-None-Match is * alone, or entity tags in their quotes."));
    }
    match (none_match, current) {
        (None, _) | (Some(Tags::These(_)), None) => {}
        (Some(Tags::Any), _) => held.push(Precondition::Absent(key.clone())),
        (Some(Tags::These(tags)), Some(current)) if any_weakly(&tags, current) => return Err(changed(title)),
        (Some(Tags::These(_)), Some(current)) => held.push(Precondition::At(key.clone(), current)),
    }
    Ok(held)
}

/// Whether a reader has already what it asks for.
pub(crate) fn not_modified(headers: &HeaderMap, current: Revision) -> bool {
    match tags(headers, &IF_NONE_MATCH) {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::These(tags)) => any_weakly(&tags, current),
    }
}

/// 412 for a write that was refused by what is there.
pub(crate) fn unmet(failed: &Precondition, title: &'static str) -> Refusal {
    match failed {
        Precondition::Absent(_) => {
            let details = "The resource is there already, and If-None-Match asks that it is not.";
            Refusal::new(StatusCode::PRECONDITION_FAILED, title, details)
        }
        Precondition::Exists(_) | Precondition::At(..) => changed(title),
    }
}

fn changed(title: &'static str) -> Refusal {
    let details = "The resource is no longer what the condition says: read it again and decide anew.";
    Refusal::new(StatusCode::PRECONDITION_FAILED, title, details)
}

fn any_weakly(tags: &[&str], current: Revision) -> bool {
    let current = etag(current);
    tags.iter().any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == current)
}

/// RFC 9110, section 8.8.3.
fn is_tag(text: &str) -> bool {
    let strong = text.strip_prefix("W/").unwrap_or(text);
    let inner = strong.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.is_some_and(|inner| inner.bytes().all(|byte| byte != b'"' && byte > b' '))
}

/// A value that is no entity tag matches nothing, so that a write which carries it is refused rather than done blindly.
/// Our tags have no comma in them, so a comma always separates.
fn tags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Tags<'a>> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let tags: Vec<&str> =
        values.flat_map(|value| value.to_str().unwrap_or_default().split(',')).map(str::trim).collect();
    Some(if tags == ["*"] { Tags::Any } else { Tags::These(tags) })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOW: Revision = Revision { epoch: 0xab, number: 7 };

    fn headers(given: &[(HeaderName, &'static str)]) -> HeaderMap {
        given.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_condition_is_judged_now_and_again_in_the_transaction() {
        let key = Key::mesh("m");
        let at = || Ok(vec![Precondition::At(key.clone(), NOW)]);
        let exists = || Ok(vec![Precondition::Exists(key.clone())]);
        let absent = || Ok(vec![Precondition::Absent(key.clone())]);
        for (given, current, expected) in [
            (vec![], Some(NOW), Ok(vec![])),
            (vec![(IF_MATCH, "\"000000ab-7\"")], Some(NOW), at()),
            (vec![(IF_MATCH, "\"x\", \"000000ab-7\"")], Some(NOW), at()),
            (vec![(IF_MATCH, "\"x\""), (IF_MATCH, "\"000000ab-7\"")], Some(NOW), at()),
            (vec![(IF_MATCH, "\"000000ab-6\"")], Some(NOW), Err(412)),
            (vec![(IF_MATCH, "W/\"000000ab-7\"")], Some(NOW), Err(412)),
            (vec![(IF_MATCH, "000000ab-7")], Some(NOW), Err(412)),
            (vec![(IF_MATCH, "")], Some(NOW), Err(412)),
            (vec![(IF_MATCH, "\"000000ab-7\"")], None, Err(412)),
            (vec![(IF_MATCH, "*")], None, exists()),
            (vec![(IF_NONE_MATCH, "*")], Some(NOW), absent()),
            (vec![(IF_NONE_MATCH, "\"000000ab-7\"")], Some(NOW), Err(412)),
            (vec![(IF_NONE_MATCH, "\"000000ab-6\"")], Some(NOW), at()),
            (vec![(IF_NONE_MATCH, "\"000000ab-6\"")], None, Ok(vec![])),
            (vec![(IF_NONE_MATCH, "W/\"a\", \"b\"")], None, Ok(vec![])),
            // What cannot be read must not become a blind write.
            (vec![(IF_NONE_MATCH, "*"), (IF_NONE_MATCH, "*")], Some(NOW), Err(400)),
            (vec![(IF_NONE_MATCH, "*, *")], Some(NOW), Err(400)),
            (vec![(IF_NONE_MATCH, "")], Some(NOW), Err(400)),
            (vec![(IF_NONE_MATCH, "000000ab-6")], None, Err(400)),
        ] {
            let held = preconditions(&headers(&given), &key, current, "t");
            assert_eq!(held.map_err(|refusal| refusal.status.as_u16()), expected, "{given:?} {current:?}");
        }
    }

    #[test]
    fn a_reader_is_not_sent_what_it_has() {
        for (given, expected) in [
            (vec![], false),
            (vec![(IF_NONE_MATCH, "\"000000ab-7\"")], true),
            (vec![(IF_NONE_MATCH, "W/\"000000ab-7\"")], true),
            (vec![(IF_NONE_MATCH, "\"000000ab-6\", \"000000ab-7\"")], true),
            (vec![(IF_NONE_MATCH, "*")], true),
            (vec![(IF_NONE_MATCH, "\"000000ab-6\"")], false),
        ] {
            assert_eq!(not_modified(&headers(&given), NOW), expected, "{given:?}");
        }
    }
}
