//! Media types: what a body is, and what an answer may be (RFC 9110, sections 8.3 and 12.5.1).

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, VARY},
};

use crate::respond::{Answer, JSON, Refusal, with_body};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
}

const YAML: HeaderValue = HeaderValue::from_static("application/yaml");

impl Format {
    const ALL: [Self; 2] = [Self::Json, Self::Yaml];

    pub(crate) fn media(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }
}

/// What the body of a resource is written in.
pub(crate) fn content_type(headers: &HeaderMap, title: &'static str) -> Result<Format, Refusal> {
    refuse_encoding(headers, title)?;
    let media = the_content_type(headers);
    let format = Format::ALL.into_iter().find(|format| media.as_deref() == Some(format.media()));
    format.ok_or_else(|| {
        let hint = "Send the resource with Content-Type: application/json (or application/yaml).";
        Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, title, hint)
    })
}

/// For requests that are no resource.
pub(crate) fn require_json(headers: &HeaderMap, title: &'static str) -> Result<(), Refusal> {
    refuse_encoding(headers, title)?;
    if the_content_type(headers).as_deref() == Some(Format::Json.media()) {
        return Ok(());
    }
    let hint = "Send the request with Content-Type: application/json.";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, title, hint))
}

/// For what needs no body: one that says it has another is a web page's form.
pub(crate) fn require_json_if_any(headers: &HeaderMap, title: &'static str) -> Result<(), Refusal> {
    if headers.contains_key(CONTENT_TYPE) { require_json(headers, title) } else { Ok(()) }
}

/// What an answer is to be written in; JSON where nothing is asked for.
pub(crate) fn accepted(headers: &HeaderMap, title: &'static str) -> Result<Format, Refusal> {
    let values: Vec<&str> =
        headers.get_all(ACCEPT).iter().map(|value| value.to_str().unwrap_or("?")).collect();
    let ranges: Vec<Range> = values.into_iter().flat_map(ranges).collect();
    let format = if ranges.is_empty() { Some(Format::Json) } else { best(&ranges) };
    format.ok_or_else(|| {
        let hint = "Answers are application/json or application/yaml: ask for one of them in Accept.";
        Refusal::new(StatusCode::NOT_ACCEPTABLE, title, hint)
    })
}

/// 200 with this JSON, in the format that was asked for.
pub(crate) fn represent(json: Bytes, format: Format, title: &'static str) -> Result<Answer, Refusal> {
    let mut answer = match format {
        Format::Json => with_body(StatusCode::OK, JSON, json),
        Format::Yaml => {
            let yaml = to_yaml(&json).map_err(|error| Refusal::internal(title, &error))?;
            with_body(StatusCode::OK, YAML, yaml.into())
        }
    };
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(answer)
}

pub(crate) fn to_yaml(json: &[u8]) -> Result<String, String> {
    let value: serde_json::Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    serde_saphyr::to_string(&value).map_err(|error| error.to_string())
}

/// A limit of a body's size would mean little if the body could unfold.
fn refuse_encoding(headers: &HeaderMap, title: &'static str) -> Result<(), Refusal> {
    if headers.get_all(CONTENT_ENCODING).iter().all(|encoding| encoding == "identity") {
        return Ok(());
    }
    let hint = "Send the body as it is, without a Content-Encoding.";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, title, hint))
}

/// The media type of the one `Content-Type`, in lower case; its parameters, such as a charset, do not matter.
fn the_content_type(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (value, another) = (values.next()?, values.next());
    if another.is_some() {
        return None;
    }
    let (media, _parameters) = split_parameters(value.to_str().ok()?);
    Some(media.to_ascii_lowercase())
}

fn split_parameters(text: &str) -> (&str, &str) {
    let (media, parameters) = text.split_once(';').unwrap_or((text, ""));
    (media.trim(), parameters)
}

/// One item of `Accept`.
struct Range {
    media: String,
    /// In thousandths.
    quality: u16,
}

/// An empty item is none (RFC 9110, section 5.6.1).
fn ranges(value: &str) -> impl Iterator<Item = Range> {
    value.split(',').filter(|item| !item.trim().is_empty()).map(|item| {
        let (media, parameters) = split_parameters(item);
        Range { media: media.to_ascii_lowercase(), quality: quality(parameters) }
    })
}

/// `q`, 1 where it is absent; a `q` that is no number between 0 and 1 wishes for nothing.
fn quality(parameters: &str) -> u16 {
    let q = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then_some(value.trim())
    });
    let Some(q) = q else { return 1000 };
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    match (whole, format!("{fraction:0<3}").parse::<u16>()) {
        ("0", Ok(thousandths)) if fraction.len() <= 3 => thousandths,
        ("1", Ok(0)) => 1000,
        _ => 0,
    }
}

/// The format with the highest quality; of equals the one that is named more exactly, then JSON.
fn best(ranges: &[Range]) -> Option<Format> {
    let wish = |format: Format| {
        let fits = ranges.iter().filter_map(|range| Some((exactness(range, format)?, range.quality)));
        let (exactness, quality) = fits.max()?;
        (quality > 0).then_some((quality, exactness))
    };
    let (json, yaml) = (wish(Format::Json), wish(Format::Yaml));
    match (json, yaml) {
        (None, None) => None,
        _ if yaml > json => Some(Format::Yaml),
        _ => Some(Format::Json),
    }
}

/// `None` when it does not fit at all. A more exact range overrides the quality of a wider one.
fn exactness(range: &Range, format: Format) -> Option<u8> {
    match range.media.as_str() {
        media if media == format.media() => Some(2),
        "application/*" => Some(1),
        "*/*" => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &http::HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_best_of_what_is_accepted_is_answered() {
        for (accept, expected) in [
            (&[][..], Some(Format::Json)),
            (&[""], Some(Format::Json)),
            (&[" ,", ","], Some(Format::Json)),
            (&["*/*"], Some(Format::Json)),
            (&["APPLICATION/JSON; charset=utf-8"], Some(Format::Json)),
            (&["application/*"], Some(Format::Json)),
            (&["application/yaml"], Some(Format::Yaml)),
            (&["application/yaml, */*"], Some(Format::Yaml)),
            (&["application/yaml;q=0.5, */*;q=0.1"], Some(Format::Yaml)),
            (&["application/yaml;q=0.5, application/json"], Some(Format::Json)),
            (&["application/json;q=0, */*"], Some(Format::Yaml)),
            (&["text/html", "application/yaml"], Some(Format::Yaml)),
            (&["text/html,*/*;q=0.8"], Some(Format::Json)),
            (&["text/html"], None),
            (&["application/json;q=0"], None),
            (&["application/json;q=7"], None),
            (&["json"], None),
        ] {
            let accepted = accepted(&headers(&ACCEPT, accept), "t").ok();
            assert_eq!(accepted, expected, "{accept:?}");
        }
    }

    #[test]
    fn a_body_says_what_it_is() {
        for (given, expected) in [
            (&["application/json"][..], Some(Format::Json)),
            (&["Application/JSON;charset=UTF-8"], Some(Format::Json)),
            (&["application/yaml"], Some(Format::Yaml)),
            (&["text/plain"], None),
            (&["garbage"], None),
            (&[""], None),
            (&[], None),
            (&["application/json", "text/plain"], None),
        ] {
            let format = content_type(&headers(&CONTENT_TYPE, given), "t").ok();
            assert_eq!(format, expected, "{given:?}");
        }
    }
}
