//! Bodies: read whole, within limits, and understood or refused with the place that is wrong.
//!
//! JSON and YAML go through the same serde types, so the same rules hold for both. Nothing that a body contains costs
//! more than its size: depth, aliases and nodes are bounded, and a large body is parsed off the threads that serve others.

use std::{fmt, marker::PhantomData, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_LENGTH, EXPECT},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::{Document, Kind};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, DeserializeSeed, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_path_to_error::{Path, Track};
use serde_saphyr::{MessageFormatter, UserMessageFormatter};
use tokio::time::timeout;

use crate::{limits::Limits, negotiate::Format, respond::Refusal};

/// Parsing up to this size takes less than handing it to another thread is worth.
const PARSED_IN_PLACE_BYTES: usize = 64 * 1024;

/// What is read of a body that is refused: a few times what none may exceed.
const DRAINED_BYTES: usize = 32 * 1024 * 1024;
/// How long a client that sends nothing is taken to be still sending it.
const DRAINED_QUIET: Duration = Duration::from_secs(2);

/// Mappings and lists inside each other: several times what any resource has, and little enough for a thread's stack.
const YAML_DEPTH: usize = 64;

/// Aliases may repeat as much as the body has itself, so that the cost is that of its size; in events, and of text in bytes.
/// A small body may repeat this much in any case.
const YAML_REPEATED_MIN: usize = 4096;

/// Where and why a body is not what it should be, as one line.
#[derive(Debug)]
pub(crate) struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The whole body, at most [`Limits::body_bytes`] and within [`Limits::body_read_timeout`]. Nothing is kept of a body
/// that announces itself as too large.
pub(crate) async fn body(
    limits: &Limits,
    headers: &HeaderMap,
    body: &mut Body,
    title: &'static str,
) -> Result<Bytes, Refusal> {
    let too_large = || {
        let details = format!("The body is larger than {} bytes.", limits.body_bytes);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, title, details)
    };
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced
        .is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limits.body_bytes))
    {
        return Err(too_large());
    }
    let reading = Limited::new(body, limits.body_bytes).collect();
    match timeout(limits.body_read_timeout, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_broken)) => Err(Refusal::bad_request(title, "The body broke off.")),
        Err(_elapsed) => {
            let details = format!("The body did not arrive within {:?}.", limits.body_read_timeout);
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, title, details))
        }
    }
}

/// Reads on, and forgets, what a client is still sending of a body that is refused: many clients read no answer before they
/// have sent all, and a connection that ends under them loses it. A client that waits to be asked is not asked.
pub(crate) async fn drain(limits: &Limits, headers: &HeaderMap, body: &mut Body) {
    if headers.contains_key(EXPECT) {
        return;
    }
    let mut left = DRAINED_BYTES;
    let reading = async {
        while let Ok(Some(Ok(frame))) = timeout(DRAINED_QUIET, body.frame()).await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // However far it came, the answer is ready.
    let _ = timeout(limits.body_read_timeout, reading).await;
}

/// Runs `work` on a body of this size: here when it is small, else off the threads that serve others.
pub(crate) async fn by_size<T: Send + 'static>(
    bytes: usize,
    title: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    if bytes <= PARSED_IN_PLACE_BYTES { Ok(work()) } else { aside(title, work).await }
}

/// Runs `work` off the threads that serve others.
pub(crate) async fn aside<T: Send + 'static>(
    title: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Refusal::internal(title, &error))
}

/// A resource of this kind, as it was written.
pub(crate) fn document(
    kind: Kind,
    format: Format,
    body: &[u8],
    title: &'static str,
) -> Result<Document, Refusal> {
    seeded(format, body, DocumentSeed(kind), title)
}

/// Any other request, in JSON.
pub(crate) fn request<T: DeserializeOwned>(body: &[u8], title: &'static str) -> Result<T, Refusal> {
    object(Format::Json, body, title)
}

/// An object, and not the list of its fields' values, from which a derived type is read as well.
pub(crate) fn object<T: DeserializeOwned>(
    format: Format,
    body: &[u8],
    title: &'static str,
) -> Result<T, Refusal> {
    let Object(value) = seeded(format, body, PhantomData::<Object<T>>, title)?;
    Ok(value)
}

pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// What the seed makes of a body.
pub(crate) fn seeded<'de, S: DeserializeSeed<'de>>(
    format: Format,
    body: &'de [u8],
    seed: S,
    title: &'static str,
) -> Result<S::Value, Refusal> {
    let read = match format {
        Format::Json => json(body, seed),
        Format::Yaml => yaml(body, seed),
    };
    read.map_err(|malformed| Refusal::bad_request(title, malformed.0))
}

struct DocumentSeed(Kind);

impl<'de> DeserializeSeed<'de> for DocumentSeed {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Document, D::Error> {
        self.0.read_document(from)
    }
}

fn json<'de, S: DeserializeSeed<'de>>(body: &'de [u8], seed: S) -> Result<S::Value, Malformed> {
    let mut from = serde_json::Deserializer::from_slice(body);
    let mut track = Track::new();
    let read = seed.deserialize(serde_path_to_error::Deserializer::new(&mut from, &mut track));
    let value = read.map_err(|error| Malformed::new(&track.path(), &error))?;
    from.end().map_err(|error| Malformed(error.to_string()))?;
    Ok(value)
}

fn yaml<'de, S: DeserializeSeed<'de>>(body: &'de [u8], seed: S) -> Result<S::Value, Malformed> {
    let repeated = body.len().max(YAML_REPEATED_MIN);
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: YAML_DEPTH,
            flow_nesting_limit: YAML_DEPTH,
            max_nodes: body.len().saturating_add(repeated),
            max_events: body.len().saturating_add(repeated).saturating_mul(2),
            max_total_scalar_bytes: body.len().saturating_add(repeated),
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: repeated },
    };
    let text = std::str::from_utf8(body).map_err(|error| not_utf8(&body[..error.valid_up_to()]))?;
    let mut track = Track::new();
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |from| {
        seed.deserialize(serde_path_to_error::Deserializer::new(from, &mut track))
    });
    read.map_err(|error| Malformed::new(&track.path(), &yaml_error(&error)))
}

fn not_utf8(valid: &[u8]) -> Malformed {
    let line = valid.split(|byte| *byte == b'\n').count();
    let column = 1 + valid.iter().rev().take_while(|byte| **byte != b'\n').count();
    Malformed(format!("not UTF-8 at line {line} column {column}"))
}

/// The library says it with the names of its own limits.
const TOO_COMPLEX: &str = "it is nested too deeply, or its aliases repeat too much";

/// In the words for users, with the place as serde_json says it.
fn yaml_error(error: &serde_saphyr::Error) -> String {
    let place = error.location();
    let error = error.without_snippet();
    let message = UserMessageFormatter.format_message(error);
    let message = if message.contains("limits breached") { TOO_COMPLEX.into() } else { message };
    match place {
        Some(place) => format!("{message} at line {} column {}", place.line(), place.column()),
        // Only what is wrong with the whole has no place of its own.
        None => format!("{message} at line 1 column 1"),
    }
}

impl Malformed {
    /// What is repeated of the body is as long and as strange as the client has made it, so each part is cut by itself.
    fn new(path: &Path, error: &dyn fmt::Display) -> Self {
        let path = path.to_string();
        let error = error.to_string();
        let error = model::one_line(&error);
        // The part of a path that is not known yet, such as a key that could not be read, is a question mark.
        match path.trim_end_matches('?').trim_end_matches('.') {
            "" => Self(error.into_owned()),
            path => Self(format!("{}: {error}", model::one_line(path))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(read: fn(&[u8]) -> Result<Document, Malformed>, body: &[u8], expected: &str) {
        let message = match read(body) {
            Ok(document) => format!("{document:?}"),
            Err(malformed) => malformed.to_string(),
        };
        assert_eq!(message, expected, "{}", String::from_utf8_lossy(body));
    }

    #[test]
    fn what_is_wrong_with_json_is_said_with_path_and_place() {
        let read = |body: &[u8]| json(body, DocumentSeed(Kind::Mesh));
        for (body, expected) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{\n\"mtls\":{\n\"enabled\":tru}}", "mtls.enabled: expected ident at line 3 column 14"),
            (
                r#"{"mtls":{"enabeld":true}}"#,
                "mtls.enabeld: unknown field `enabeld`, expected one of `ca`, `enabled`, `permissive` at line 1 column 18",
            ),
            (
                r#"{"logging":{"backends":[{},{"file":{"mode":1}}]}}"#,
                "logging.backends[1].file.mode: unknown field `mode`, expected `path` at line 1 column 42",
            ),
            (
                r#"{"mtls":{"enabled":1}}"#,
                "mtls.enabled: invalid type: integer `1`, expected a boolean at line 1 column 20",
            ),
            (r#"{"type":"Mesh"} {"#, "trailing characters at line 1 column 17"),
            (r#"{"mtls":{},"mtls":{}}"#, "duplicate field `mtls` at line 1 column 17"),
        ] {
            check(read, body.as_bytes(), expected);
        }
        check(read, b"{\"type\":\"\xff\"}", "type: invalid unicode code point at line 1 column 10");
    }

    #[test]
    fn what_is_wrong_with_yaml_is_said_alike() {
        let read = |body: &[u8]| yaml(body, DocumentSeed(Kind::Mesh));
        for (body, expected) in [
            ("type: Mesh\n\tname: [", "while scanning a plain scalar, found a tab at line 1 column 7"),
            (
                "mtls:\n  enabeld: yes",
                "mtls.enabeld: unknown field `enabeld`, expected one of ca, enabled, permissive at line 2 column 3",
            ),
            (
                "logging:\n  backends:\n  - file: {mode: 1}",
                "logging.backends[0].file.mode: unknown field `mode`, expected one of path at line 3 column 12",
            ),
            (
                "mtls: {enabled: 1}",
                "mtls.enabled: invalid type: integer `1`, expected a boolean at line 1 column 8",
            ),
            (
                "type: Mesh\n---\ntype: Mesh",
                "only single YAML document expected but multiple found at line 3 column 1",
            ),
            (
                "[]",
                "invalid type: sequence, expected a resource (an object with type, name and mesh) at line 1 column 1",
            ),
            ("type: Mesh\ntype: Mesh", "duplicate mapping key `type` is not allowed here at line 2 column 1"),
        ] {
            check(read, body.as_bytes(), expected);
        }
        check(read, b"type: Mesh\nname: \xff", "not UTF-8 at line 2 column 7");
    }

    #[test]
    fn a_small_body_cannot_cost_much() {
        let nested = |open: &str, close: &str| {
            format!("{{\"tracing\":{}1{}}}", open.repeat(50_000), close.repeat(50_000))
        };
        for body in [nested("[", "]"), nested("{\"a\":", "}")] {
            assert!(json(body.as_bytes(), DocumentSeed(Kind::Mesh)).is_err());
            assert!(yaml(body.as_bytes(), DocumentSeed(Kind::Mesh)).is_err());
        }
        let line = |i: usize| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "));
        let laughs = "a0: &a0 [x]\n".to_owned() + &(1..20).map(line).collect::<String>();
        let all: Result<serde_json::Value, _> = yaml(laughs.as_bytes(), PhantomData);
        assert!(all.is_err());
    }
}
