//! One line of the access log: a JSON object whose `target` says what becomes of it.
//!
//! The targets are the control plane's words, and Envoy prints each as a value of its own. So what a stranger has chosen (the
//! names in a certificate, say), a line break in it included, is the inside of some other string and never a target.

use std::borrow::Cow;

use serde::Deserialize;

use crate::access_log::dropped::Dropped;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Target `refused`.
    Refusal(Refusal),
}

/// A connection that failed before Envoy let it in. What Envoy has nothing for is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Refusal {
    /// The listener that refused.
    #[serde(deserialize_with = "unless_empty", default)]
    pub(super) inbound: Option<String>,
    /// The service behind it.
    #[serde(deserialize_with = "unless_empty", default)]
    pub(super) destination: Option<String>,
    /// The URIs of the peer's certificate, with commas between them. Its own words, verified or not.
    #[serde(deserialize_with = "unless_empty", default)]
    pub(super) source: Option<String>,
    /// Where the connection came from.
    #[serde(deserialize_with = "unless_empty", default)]
    pub(super) address: Option<String>,
    /// What went wrong in the handshake (`%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`).
    #[serde(deserialize_with = "unless_empty", default)]
    pub(super) reason: Option<String>,
    /// What became of the connection (`%RESPONSE_CODE_DETAILS%`).
    #[serde(deserialize_with = "unless_empty", default)]
    pub(super) details: Option<String>,
}

impl Entry {
    pub(super) fn parse(line: &[u8]) -> Result<Self, Dropped> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(borrow)]
            target: Cow<'a, str>,
        }

        // Serde would also take an array of the fields.
        if !line.trim_ascii_start().starts_with(b"{") {
            return Err(Dropped::Malformed);
        }
        let envelope: Envelope<'_> = serde_json::from_slice(line).map_err(|_| Dropped::Malformed)?;
        match &*envelope.target {
            "refused" => serde_json::from_slice(line).map(Self::Refusal).map_err(|_| Dropped::Malformed),
            _ => Err(Dropped::UnknownTarget),
        }
    }
}

/// Envoy prints `-` or `null` for nothing, depending on its version.
fn unless_empty<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(value)?.filter(|text| !matches!(text.as_str(), "" | "-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_an_object_with_that_target() {
        let line =
            br#"{"target":"refused","inbound":"inbound:10.0.0.1:80","destination":"backend","source":null,
            "address":"10.0.0.9:41234","reason":"-","details":"filter_chain_not_found","later":[1]}"#;
        let refusal = Refusal {
            inbound: Some("inbound:10.0.0.1:80".to_owned()),
            destination: Some("backend".to_owned()),
            address: Some("10.0.0.9:41234".to_owned()),
            details: Some("filter_chain_not_found".to_owned()),
            ..Refusal::default()
        };
        assert_eq!(Entry::parse(line), Ok(Entry::Refusal(refusal)));
    }

    #[test]
    fn anything_else_is_dropped() {
        let deep = format!("{{\"target\":{}", "[".repeat(60_000));
        for (line, expected) in [
            (&b""[..], Dropped::Malformed),
            (b"garbage", Dropped::Malformed),
            (b"\xff\xfe\0", Dropped::Malformed),
            (b"[\"refused\"]", Dropped::Malformed),
            (b"{}", Dropped::Malformed),
            (b"{\"target\":7}", Dropped::Malformed),
            (b"{\"target\":\"refused\",\"source\":[]}", Dropped::Malformed),
            (b"{\"target\":\"refused\",\"target\":\"refused\"}", Dropped::Malformed),
            (b"{\"target\":\"refused\"}{\"target\":\"refused\"}", Dropped::Malformed),
            (deep.as_bytes(), Dropped::Malformed),
            (b"{\"target\":\"file:/etc/passwd\",\"text\":\"x\"}", Dropped::UnknownTarget),
            (b"{\"target\":\"\"}", Dropped::UnknownTarget),
            (b"{\"target\":\"Refused\"}", Dropped::UnknownTarget),
        ] {
            assert_eq!(Entry::parse(line), Err(expected), "{}", String::from_utf8_lossy(line));
        }
    }
}
