//! `kumactl inspect dataplane`: what a proxy should have in Envoy's own terms, what it has, and why not.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::Args;
use model::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Target, UsageError};
use crate::{
    age,
    client::Detail,
    output::{self, OutputFormat},
    surroundings::Surroundings,
    table,
};

/// Show what the proxy of one dataplane should have, what it has, and why not
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectDataplaneArgs {
    /// The name of the dataplane
    #[arg(value_name = "NAME")]
    name: String,
    /// The format of the output; json and yaml are the answer of the control plane
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: OutputFormat,
    /// With the content of each resource, without secrets; for yaml and json
    #[arg(long)]
    full: bool,
}

const EXAMPLES: &str = "\
Examples:
  kumactl inspect dataplane web-1 --mesh demo
  kumactl inspect dataplane web-1 --mesh demo --full -o yaml";

const HEAD: [&str; 5] = ["MESH", "NAME", "STATUS", "CONNECTED AGO", "REVISION"];

const RESOURCES: [&str; 7] = ["TYPE", "NAME", "STATE", "VERSION", "ACKNOWLEDGED", "AGO", "SOURCES"];

/// A row stays readable; `-o yaml` has the others.
const SOURCES_SHOWN: usize = 3;

pub(super) async fn run(
    args: &InspectDataplaneArgs,
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let InspectDataplaneArgs { name, output, full } = args;
    if *full && *output == OutputFormat::Table {
        let sentence = "--full shows contents, for which no table has room: add -o yaml or -o json";
        return Err(UsageError(sentence.to_owned()).into());
    }
    let detail = if *full { Detail::Full } else { Detail::Summary };
    let inspected = target.client.inspection(&target.mesh, name, detail).await;
    let inspected =
        inspected.map_err(|error| error.while_trying(format!("failed to inspect Dataplane \"{name}\"")))?;
    let now = surroundings.now;
    let text = output::print_one(&inspected, *output, |inspected| as_text(inspected, now))?;
    Ok(surroundings.print(&text)?)
}

/// Read leniently, not with types of the API, because a newer control plane may say more.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Inspection {
    mesh: String,
    name: String,
    revision: String,
    online: bool,
    streams: Vec<Stream>,
    certificate: Option<Certificate>,
    resources: Vec<Resource>,
    warnings: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stream {
    connected_at: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Certificate {
    services: Vec<String>,
    not_after: Option<Timestamp>,
    renew_at: Option<Timestamp>,
    ca: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Resource {
    r#type: String,
    name: String,
    version: String,
    state: String,
    acknowledged: Option<Acknowledged>,
    error: Option<String>,
    sources: Vec<Source>,
    more_sources: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Acknowledged {
    version: String,
    at: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Source {
    r#type: String,
    name: String,
    revision: String,
}

fn as_text(inspected: &Value, now: Timestamp) -> anyhow::Result<String> {
    let inspection: Inspection = serde_path_to_error::deserialize(inspected)
        .context("the control plane's answer cannot be understood")?;
    let mut text = table::print(&HEAD, &[head(&inspection, now)]);
    if let Some(note) = note(&inspection) {
        let _ = write!(text, "\n{note}\n");
    }
    if let Some(certificate) = &inspection.certificate {
        let _ = write!(text, "\n{}\n", identity(certificate));
    }
    let rows: Vec<_> = inspection.resources.iter().map(|resource| row(resource, now)).collect();
    let _ = write!(text, "\n{}", table::print(&RESOURCES, &rows));
    for paragraph in [rejections(&inspection), warnings(&inspection)] {
        if !paragraph.is_empty() {
            let _ = write!(text, "\n{paragraph}");
        }
    }
    Ok(text)
}

fn head(inspection: &Inspection, now: Timestamp) -> Vec<String> {
    let connected_at = inspection.streams.last().and_then(|stream| stream.connected_at);
    vec![
        inspection.mesh.clone(),
        inspection.name.clone(),
        if inspection.online { "Online" } else { "Offline" }.to_owned(),
        connected_at.map_or_else(|| "-".to_owned(), |at| age::ago(Some(at), now)),
        inspection.revision.clone(),
    ]
}

/// What the head does not say and is easily forgotten.
fn note(inspection: &Inspection) -> Option<String> {
    match inspection.streams.len() {
        0 => Some(
            "Its proxy is not connected. An Envoy that runs all the same keeps what it had. Its kuma-dp's log says why."
                .to_owned(),
        ),
        1 => None,
        open => Some(format!(
            "{open} streams of this dataplane are open: probably two `kuma-dp run --name {}`, or an Envoy that one has \
             left behind; they share the ports. What follows is of the stream that was opened last.",
            visible(&inspection.name)
        )),
    }
}

/// Who the proxy is, and until when it can prove it.
fn identity(certificate: &Certificate) -> String {
    let at = |time: Option<Timestamp>| time.map_or_else(|| "an unknown time".to_owned(), |it| it.to_string());
    format!(
        "Its certificate names {}, ends at {} and is renewed at {}; CA {} has signed it.",
        visible(&certificate.services.join(", ")),
        at(certificate.not_after),
        at(certificate.renew_at),
        visible(&certificate.ca)
    )
}

fn row(resource: &Resource, now: Timestamp) -> Vec<String> {
    let or_dash = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    let acknowledged = resource.acknowledged.as_ref();
    vec![
        resource.r#type.clone(),
        resource.name.clone(),
        state(&resource.state),
        or_dash(&resource.version),
        or_dash(acknowledged.map_or("", |it| it.version.as_str())),
        acknowledged.map_or_else(|| "-".to_owned(), |it| age::ago(it.at, now)),
        or_dash(&sources(resource)),
    ]
}

/// `notSent` as `not sent`.
fn state(state: &str) -> String {
    let apart =
        |char: char| if char.is_uppercase() { format!(" {}", char.to_lowercase()) } else { char.into() };
    state.chars().map(apart).collect()
}

fn sources(resource: &Resource) -> String {
    let shown = resource.sources.iter().take(SOURCES_SHOWN);
    let mut words: Vec<_> = shown.map(|source| format!("{} {}", source.r#type, source.name)).collect();
    let more = resource.sources.len().saturating_sub(SOURCES_SHOWN) + resource.more_sources;
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

const AFTER_REJECTIONS: &str = "Free the address that Envoy names, or change the resource and apply it. What was rejected is \
                                offered again by itself.";

/// Each with Envoy's words, and what to look at.
fn rejections(inspection: &Inspection) -> String {
    let mut text = String::new();
    for resource in &inspection.resources {
        let Some(error) = &resource.error else { continue };
        let (kind, name) = (visible(&resource.r#type), visible(&resource.name));
        let keeps = match &resource.acknowledged {
            Some(acknowledged) => format!("goes on with version {}", visible(&acknowledged.version)),
            None => "has no version of it".to_owned(),
        };
        let _ = writeln!(text, "Envoy has rejected {kind} {name}, and {keeps}:");
        for line in error.trim().lines() {
            let _ = writeln!(text, "  {}", visible(line));
        }
        let sources = resource.sources.iter().take(SOURCES_SHOWN);
        let sources: Vec<_> = sources
            .map(|it| {
                format!("{} {} (revision {})", visible(&it.r#type), visible(&it.name), visible(&it.revision))
            })
            .collect();
        if !sources.is_empty() {
            let _ = writeln!(text, "  It comes from {}.", sources.join(", "));
        }
    }
    if !text.is_empty() {
        let _ = writeln!(text, "{AFTER_REJECTIONS}");
    }
    text
}

fn warnings(inspection: &Inspection) -> String {
    inspection
        .warnings
        .iter()
        .fold(String::new(), |text, warning| text + "Warning: " + &visible(warning) + "\n")
}

/// No text of a resource or of Envoy can move the cursor of a terminal.
fn visible(text: &str) -> String {
    table::visible(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp { seconds: 1_577_836_800, nanos: 0 }; // 2020-01-01T00:00:00Z

    #[test]
    fn what_an_older_or_a_newer_control_plane_says_is_shown() {
        let text = as_text(&json!({"mesh": "m", "name": "a", "news": 1}), NOW).unwrap();
        assert!(
            text.starts_with("MESH   NAME   STATUS    CONNECTED AGO   REVISION\nm      a      Offline   -"),
            "{text}"
        );
        assert!(
            as_text(&json!({"resources": 1}), NOW).unwrap_err().to_string().contains("cannot be understood")
        );
    }

    #[test]
    fn what_is_easily_forgotten_is_said() {
        for (streams, expected) in [
            (json!([]), Some("kuma-dp's log says why")),
            (json!([{}]), None),
            (
                json!([{}, {}]),
                Some("2 streams of this dataplane are open: probably two `kuma-dp run --name web`"),
            ),
        ] {
            let note = note(&serde_json::from_value(json!({"name": "web", "streams": streams})).unwrap());
            assert_eq!(note.is_some(), expected.is_some(), "{note:?}");
            assert!(note.unwrap_or_default().contains(expected.unwrap_or_default()));
        }
    }

    #[test]
    fn of_what_is_rejected_it_is_said_what_envoy_has_instead() {
        for (acknowledged, expected) in [
            (json!(null), "Envoy has rejected Listener a, and has no version of it:\n  is odd\n"),
            (
                json!({"version": "1"}),
                "Envoy has rejected Listener a, and goes on with version 1:\n  is odd\n",
            ),
        ] {
            let resource =
                json!({"type": "Listener", "name": "a", "error": "is odd", "acknowledged": acknowledged});
            let inspection = serde_json::from_value(json!({"resources": [resource]})).unwrap();
            assert_eq!(rejections(&inspection), format!("{expected}{AFTER_REJECTIONS}\n"));
        }
    }

    #[test]
    fn a_state_is_words() {
        assert_eq!([state("synced"), state("notSent")], ["synced", "not sent"]);
    }

    #[test]
    fn of_many_sources_a_few_are_named_and_the_others_counted() {
        let named = |names: &[&str]| {
            names.iter().map(|name| json!({"type": "Dataplane", "name": name})).collect::<Vec<_>>()
        };
        for (names, more, expected) in [
            (&["a"][..], 0, "Dataplane a"),
            (&["a", "b", "c"], 0, "Dataplane a, Dataplane b, Dataplane c"),
            (&["a", "b", "c", "d"], 0, "Dataplane a, Dataplane b, Dataplane c, 1 more"),
            (&["a", "b", "c", "d"], 900, "Dataplane a, Dataplane b, Dataplane c, 901 more"),
        ] {
            let resource = json!({"sources": named(names), "moreSources": more});
            assert_eq!(sources(&serde_json::from_value(resource).unwrap()), expected);
        }
    }

    #[test]
    fn no_text_moves_the_cursor_of_a_terminal() {
        let resource = json!({"type": "Listener\u{1b}", "name": "x\u{1b}[2J", "state": "rejected", "error": "a\u{1b}[2J\nb"});
        let certificate = json!({"services": ["\u{1b}"], "ca": "\u{7}"});
        let inspection = json!({"resources": [resource], "warnings": ["\u{7}"], "certificate": certificate});
        let text = as_text(&inspection, NOW).unwrap();
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
        assert!(text.contains("\n  a\\u{1b}[2J\n  b\n"), "{text}");
    }
}
