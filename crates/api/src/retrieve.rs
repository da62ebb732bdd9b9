//! Reading: entities and lists from the store's present, and Dataplanes together with what is known of their proxies.

use axum::extract::Query;
use bytes::{BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, StatusCode, Uri,
    header::{ETAG, LAST_MODIFIED, VARY},
};
use model::{Dataplane, DataplaneInsight, Inbound, Key, Kind, Spec, Tags};
use serde::Serialize;
use store::{Entry, Present};
use time::OffsetDateTime;

use crate::{
    conditions::{etag, not_modified},
    negotiate::{Format, represent},
    respond::{Answer, Refusal, empty, title},
};

/// One entity, or 304 when the client has it already.
pub(crate) fn item(
    present: &Present,
    key: &Key,
    headers: &HeaderMap,
    format: Format,
) -> Result<Answer, Refusal> {
    let entry = present.get(key).ok_or_else(|| Refusal::not_found(title::RETRIEVE))?;
    let mut answer = if not_modified(headers, entry.revision) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        represent(entry.json.clone(), format, title::RETRIEVE)?
    };
    let headers = answer.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept"));
    let tag = HeaderValue::try_from(etag(entry.revision));
    headers.insert(ETAG, tag.map_err(|error| Refusal::internal(title::RETRIEVE, &error))?);
    if let Some(date) = http_date(entry.modified_ms).and_then(|date| HeaderValue::try_from(date).ok()) {
        headers.insert(LAST_MODIFIED, date);
    }
    Ok(answer)
}

/// All of a kind in a mesh, or all of a kind that lives in none. The entities were encoded when they were written.
pub(crate) fn collection(present: &Present, kind: Kind, mesh: &str) -> Bytes {
    match kind.scope() {
        model::Scope::Global => items(present.all(kind).map(|(_, entry)| &entry.json)),
        model::Scope::Mesh => items(present.list(kind, mesh).map(|(_, entry)| &entry.json)),
    }
}

/// A Dataplane and what is known of its proxy; `{}` when it never connected.
pub(crate) fn overview(present: &Present, key: &Key) -> Result<Bytes, Refusal> {
    let entry = present.get(key).ok_or_else(|| Refusal::not_found(title::RETRIEVE_OVERVIEW))?;
    encode(&Overview::new(present, key, entry), title::RETRIEVE_OVERVIEW)
}

/// The overviews of a mesh's Dataplanes, filtered by the query's `tag`s.
pub(crate) fn overviews(present: &Present, mesh: &str, uri: &Uri) -> Result<Bytes, Refusal> {
    let wanted = wanted_tags(uri)?;
    let mut encoded = Vec::new();
    for (key, entry) in present.list(Kind::Dataplane, mesh) {
        if wanted.is_empty() || carries(&entry.spec, &wanted) {
            encoded.push(encode(&Overview::new(present, key, entry), title::RETRIEVE_LIST)?);
        }
    }
    Ok(items(&encoded))
}

/// What is known of one proxy.
pub(crate) fn insight(present: &Present, key: &Key) -> Result<Bytes, Refusal> {
    let insight = present.insight(key).ok_or_else(|| Refusal::not_found(title::RETRIEVE))?;
    encode(&NamedInsight::new(key, insight), title::RETRIEVE)
}

pub(crate) fn insights(present: &Present, mesh: &str) -> Result<Bytes, Refusal> {
    let mut encoded = Vec::new();
    for (key, _) in present.list(Kind::Dataplane, mesh) {
        if let Some(insight) = present.insight(key) {
            encoded.push(encode(&NamedInsight::new(key, insight), title::RETRIEVE_LIST)?);
        }
    }
    Ok(items(&encoded))
}

#[derive(Serialize)]
struct Overview<'a> {
    r#type: &'static str,
    mesh: &'a str,
    name: &'a str,
    dataplane: &'a Spec,
    #[serde(rename = "dataplaneInsight")]
    insight: &'a DataplaneInsight,
}

impl<'a> Overview<'a> {
    fn new(present: &'a Present, key: &'a Key, entry: &'a Entry) -> Self {
        static UNKNOWN: DataplaneInsight = DataplaneInsight { subscriptions: None };
        let insight = present.insight(key).map_or(&UNKNOWN, |insight| insight);
        let (mesh, name) = (&*key.mesh, &*key.name);
        Self { r#type: "DataplaneOverview", mesh, name, dataplane: &entry.spec, insight }
    }
}

#[derive(Serialize)]
struct NamedInsight<'a> {
    r#type: &'static str,
    mesh: &'a str,
    name: &'a str,
    #[serde(flatten)]
    insight: &'a DataplaneInsight,
}

impl<'a> NamedInsight<'a> {
    fn new(key: &'a Key, insight: &'a DataplaneInsight) -> Self {
        Self { r#type: "DataplaneInsight", mesh: &key.mesh, name: &key.name, insight }
    }
}

fn encode(value: &impl Serialize, title: &'static str) -> Result<Bytes, Refusal> {
    let json = serde_json::to_vec(value).map_err(|error| Refusal::internal(title, &error))?;
    Ok(json.into())
}

/// `{"items":[…]}` around entities that are encoded already.
fn items<'a>(encoded: impl IntoIterator<Item = &'a Bytes>) -> Bytes {
    let mut list = BytesMut::from(r#"{"items":["#);
    for (i, item) in encoded.into_iter().enumerate() {
        if i > 0 {
            list.put_u8(b',');
        }
        list.put_slice(item);
    }
    list.put_slice(b"]}");
    list.freeze()
}

/// The query's `tag=key:value`. One without exactly one colon is ignored, and of one key the last counts (Kuma 0.3.0).
fn wanted_tags(uri: &Uri) -> Result<Tags, Refusal> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_| Refusal::bad_request(title::RETRIEVE_LIST, "The query is not form-encoded."))?;
    let filters = pairs.into_iter().filter(|(name, _)| name == "tag");
    Ok(filters
        .filter_map(|(_, filter)| {
            let (key, value) = filter.split_once(':')?;
            (!value.contains(':')).then(|| (key.to_owned(), value.to_owned()))
        })
        .collect())
}

/// Whether one inbound carries all of the tags.
fn carries(spec: &Spec, wanted: &Tags) -> bool {
    let Spec::Dataplane(dataplane) = spec else { return false };
    Dataplane::inbounds(dataplane).iter().map(Inbound::tags).any(|tags| model::matches(wanted, tags))
}

/// RFC 9110, section 5.6.7. `None` beyond the years that it can write.
fn http_date(unix_ms: u64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(i64::try_from(unix_ms / 1000).ok()?).ok()?;
    let (weekday, month) = (time.weekday().to_string(), time.month().to_string());
    let (hour, minute, second) = time.to_hms();
    Some(format!(
        "{}, {:02} {} {:04} {hour:02}:{minute:02}:{second:02} GMT",
        weekday.get(..3)?,
        time.day(),
        month.get(..3)?,
        time.year(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_filter_has_exactly_one_colon_and_of_one_key_the_last_counts() {
        for (query, expected) in [
            ("", &[][..]),
            ("?tag=service:web", &[("service", "web")]),
            ("?tag=service%3Aweb&x=1", &[("service", "web")]),
            ("?tag=service:web&tag=version:1", &[("service", "web"), ("version", "1")]),
            ("?tag=service:web&tag=service:api", &[("service", "api")]),
            ("?tag=service:", &[("service", "")]),
            ("?tag=a+b:c%20d", &[("a b", "c d")]),
            ("?tag=&tag=service&tag=a:b:c", &[]),
        ] {
            let uri = format!("/meshes/m/dataplanes+insights{query}").parse().unwrap();
            let expected: Tags = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(wanted_tags(&uri).unwrap(), expected, "{query}");
        }
    }

    #[test]
    fn a_date_is_written_as_http_writes_it() {
        assert_eq!(http_date(784_111_777_999).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(http_date(0).as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(http_date(u64::MAX), None);
    }
}
