//! Reading one thing: an entity, and a Dataplane with what is known of its proxy.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ETAG, LAST_MODIFIED, VARY},
};
use model::Key;
use store::Present;
use time::OffsetDateTime;

use crate::{
    conditions::{etag, not_modified},
    negotiate::{Format, represent},
    overview,
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

/// A Dataplane and what is known of its proxy.
pub(crate) fn overview(present: &Present, key: &Key) -> Result<Bytes, Refusal> {
    let entry = present.get(key).ok_or_else(|| Refusal::not_found(title::RETRIEVE_OVERVIEW))?;
    overview::overview(present, key, entry)
}

/// What is known of one proxy.
pub(crate) fn insight(present: &Present, key: &Key) -> Result<Bytes, Refusal> {
    let insight = present.insight(key).ok_or_else(|| Refusal::not_found(title::RETRIEVE))?;
    overview::insight(key, insight)
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
    fn a_date_is_written_as_http_writes_it() {
        assert_eq!(http_date(784_111_777_999).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(http_date(0).as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(http_date(u64::MAX), None);
    }
}
