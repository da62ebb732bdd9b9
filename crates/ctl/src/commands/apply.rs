//! `kumactl apply`: creates or replaces resources.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use reqwest::{StatusCode, Url};

use super::Target;
use crate::{
    client::ClientError,
    document::{self, Entity},
    http::{self, Http, Redirects, Request},
    pairs::Pairs,
    surroundings::Surroundings,
    template,
};

const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Create or replace resources
///
/// Reads YAML or JSON, one resource or several separated by `---`. Each replaces the whole resource of its type, mesh and
/// name; its mesh is the one that it names, whatever --mesh says.
///
/// Several are applied all or nothing, as one change: a proxy never sees half of them, and if the control plane refuses one,
/// everything stays as it was.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ApplyArgs {
    /// A file, an http:// or https:// URL, or - for standard input, which is also the default
    #[arg(short, long, value_name = "FILE|URL|-")]
    file: Option<PathBuf>,
    /// A value for {{KEY}} (escaped for HTML) or {{{KEY}}} (as it is); may be given several times, or as a=1,b=2
    #[arg(short, long, value_name = "KEY=VALUE")]
    var: Vec<Pairs>,
}

const EXAMPLES: &str = "\
Examples:
  kumactl apply -f mesh.yaml
  kumactl apply -f https://example.org/dataplane.yaml -v ip=10.0.0.1 -v service=web
  kumactl get traffic-routes -o json | jq '.items[0] | .conf[0].weight = 50' | kumactl apply";

pub(super) async fn run(
    args: &ApplyArgs,
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let text = read(args.file.as_deref(), surroundings).await?;
    let values = args.var.iter().flat_map(Pairs::iter);
    let text = template::render(&text, values).context("error while replacing variables")?;
    let entities = document::read(&text).context("YAML contains invalid resource")?;
    match &entities[..] {
        [entity] => apply_one(entity, target, surroundings).await,
        _ => apply_all(&entities, target, surroundings).await,
    }
}

/// As Kuma 0.3.0 does it, which asks first, and sends nothing to what does not answer as a control plane does.
async fn apply_one(
    Entity { kind, mesh, name, content }: &Entity,
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let _created_or_replaced = target.client.exists(*kind, mesh, name).await?;
    for warning in target.client.put(*kind, mesh, name, content).await? {
        surroundings.warn(&format!("{} {name}: {warning}", kind.name()))?;
    }
    tracing::info!(kind = kind.name(), mesh, name, "applied");
    Ok(())
}

async fn apply_all(
    entities: &[Entity],
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let contents = entities.iter().map(|entity| &entity.content);
    let warnings = target.client.put_all(contents).await.map_err(|error| match error {
        ClientError::Refused(refusal) => {
            ClientError::Refused(refusal.with_fields(|field| in_document(field, entities)))
        }
        other => other,
    })?;
    for warning in warnings {
        surroundings.warn(&warning)?;
    }
    for Entity { kind, mesh, name, .. } in entities {
        tracing::info!(kind = kind.name(), mesh, name, "applied");
    }
    Ok(())
}

/// A field of the transaction as a field of the document that it came from.
fn in_document(field: &str, entities: &[Entity]) -> String {
    let parts = field.strip_prefix("operations[").and_then(|rest| rest.split_once("]."));
    let found = parts.and_then(|(number, field)| {
        let number: usize = number.parse().ok()?;
        Some((number, entities.get(number)?, field.strip_prefix("resource.").unwrap_or(field)))
    });
    match found {
        Some((i, Entity { kind, name, .. }, field)) => {
            format!("document {} ({} {name}): {field}", i + 1, kind.name())
        }
        None => field.to_owned(),
    }
}

async fn read(file: Option<&Path>, surroundings: &mut Surroundings<'_>) -> anyhow::Result<String> {
    let (bytes, place) = match file {
        None => (read_stdin(surroundings)?, "standard input".to_owned()),
        Some(path) if path == "-" => (read_stdin(surroundings)?, "standard input".to_owned()),
        Some(path) => match url(path) {
            Some(url) => {
                (download(url).await.context("error with GET http request")?, path.display().to_string())
            }
            None => (read_file(path)?, path.display().to_string()),
        },
    };
    String::from_utf8(bytes)
        .with_context(|| format!("error while reading provided file: {place} is not UTF-8 text"))
}

fn read_stdin(surroundings: &mut Surroundings<'_>) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    surroundings.stdin.read_to_end(&mut bytes).context("error while reading standard input")?;
    Ok(bytes)
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        anyhow::anyhow!(
            "error while reading provided file: open {}: {}",
            path.display(),
            http::io_reason(&error)
        )
    })
}

fn url(path: &Path) -> Option<Url> {
    let text = path.to_str().filter(|text| text.starts_with("http://") || text.starts_with("https://"))?;
    Url::parse(text).ok()
}

async fn download(url: Url) -> anyhow::Result<Vec<u8>> {
    let answer =
        Http::to(&url, Redirects::Followed, None)?.send(Request::get(url.clone(), DOWNLOAD_TIMEOUT)).await?;
    if answer.status != StatusCode::OK {
        bail!("GET {}: the answer is {} instead of 200 OK", http::without_password(&url), answer.status);
    }
    Ok(answer.body)
}
