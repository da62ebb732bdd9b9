//! One line of the access log: a JSON object whose `target` says what becomes of it.
//!
//! The targets are the control plane's words, and Envoy prints each as a value of its own. So what a stranger has chosen (the
//! names in a certificate, say), a line break in it included, is the inside of some other string and never a target. That rests
//! on Envoy's escaping: whoever could write a line break of their own into the pipe would choose a target, too.

use std::borrow::Cow;

use serde::Deserialize;

use crate::access_log::dropped::Dropped;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Target `refused`.
    Refusal(Refusal),
    /// Target `file:…` or `tcp:…`.
    Text(Text),
}

/// What a TrafficLog asks for: a text for a file or a collector.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Text {
    /// As the control plane says it; [`Target::parse`](super::target::Target::parse) judges it.
    pub(super) target: String,
    /// Ends with a line break, is written as it is, and may have others inside.
    pub(super) text: String,
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
            target if target.starts_with("file:") || target.starts_with("tcp:") => Text::parse(line),
            _ => Err(Dropped::UnknownTarget),
        }
    }
}

impl Text {
    /// Without a line break at its end it would run into the next, so then it is none.
    fn parse(line: &[u8]) -> Result<Entry, Dropped> {
        let text: Self = serde_json::from_slice(line).map_err(|_| Dropped::Malformed)?;
        if !text.text.ends_with('\n') {
            return Err(Dropped::Malformed);
        }
        Ok(Entry::Text(text))
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
    fn a_text_is_taken_with_its_target_as_it_is() {
        for (line, target, expected) in [
            (r#"{"target":"file:/a b","text":"one\n"}"#, "file:/a b", "one\n"),
            (r#"{"text":"a\nb \u001b\"\n","target":"tcp:[::1]:9"}"#, "tcp:[::1]:9", "a\nb \u{1b}\"\n"),
            (r#"{"target":"file:access.log","text":"\n"}"#, "file:access.log", "\n"),
        ] {
            let text = Text { target: target.to_owned(), text: expected.to_owned() };
            assert_eq!(Entry::parse(line.as_bytes()), Ok(Entry::Text(text)), "{line}");
        }
    }

    #[test]
    fn a_text_never_chooses_its_target() {
        let text = "x\n\",\"target\":\"file:/owned\"}\n{\"target\":\"file:/owned\",\"text\":\"x\n\"}\n";
        let line = serde_json::json!({ "target": "tcp:a:1", "text": text }).to_string();
        assert!(!line.contains('\n'), "it stays one line");
        let expected = Text { target: "tcp:a:1".to_owned(), text: text.to_owned() };
        assert_eq!(Entry::parse(line.as_bytes()), Ok(Entry::Text(expected)));
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
            (b"{\"target\":\"file:/a\"}", Dropped::Malformed),
            (b"{\"target\":\"file:/a\",\"text\":7}", Dropped::Malformed),
            (b"{\"target\":\"file:/a\",\"text\":\"\"}", Dropped::Malformed),
            (b"{\"target\":\"file:/a\",\"text\":\"no line break\"}", Dropped::Malformed),
            (b"{\"target\":\"file:/a\",\"text\":\"x\\n\",\"text\":\"y\\n\"}", Dropped::Malformed),
            (b"{\"target\":\"/etc/passwd\",\"text\":\"x\\n\"}", Dropped::UnknownTarget),
            (b"{\"target\":\"udp:a:1\",\"text\":\"x\\n\"}", Dropped::UnknownTarget),
            (b"{\"target\":\"\"}", Dropped::UnknownTarget),
            (b"{\"target\":\"Refused\"}", Dropped::UnknownTarget),
        ] {
            assert_eq!(Entry::parse(line), Err(expected), "{}", String::from_utf8_lossy(line));
        }
    }
}
