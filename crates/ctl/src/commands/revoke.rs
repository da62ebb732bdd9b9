//! `kumactl revoke dataplane-token`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};

use super::Target;
use crate::{
    client::{ClientError, Token},
    http::io_reason,
    surroundings::Surroundings,
};

/// Take back what was given out
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub(crate) enum RevokeCommand {
    DataplaneToken(DataplaneTokenArgs),
}

/// Revoke a token of a dataplane
///
/// The control plane refuses it from then on and ends the stream that it has opened. The proxy keeps the configuration that it
/// has, and comes back once the file that its kuma-dp reads has a new token.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DataplaneTokenArgs {
    #[command(flatten)]
    token: Named,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Named {
    /// A file with the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The id of the token: its claim jti
    #[arg(long, value_name = "JTI", value_parser = NonEmptyStringValueParser::new())]
    jti: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  kumactl revoke dataplane-token --token-file web-1.token
  kumactl revoke dataplane-token --jti 2f6c1b1e-64a5-4d3c-9a51-0f6d1c2b3a49";

pub(super) async fn run(
    command: &RevokeCommand,
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let RevokeCommand::DataplaneToken(DataplaneTokenArgs { token: Named { token_file, jti } }) = command;
    let contents = token_file.as_ref().map(|path| {
        fs::read_to_string(path).map_err(|error| {
            anyhow!("error while reading the token: open {}: {}", path.display(), io_reason(&error))
        })
    });
    let contents = contents.transpose()?;
    let token = match &contents {
        Some(contents) => Token::Itself(contents.trim()),
        None => Token::Id(jti.as_deref().unwrap_or_default()),
    };
    let revoked = target.client.revoke(token).await;
    let jti = revoked.map_err(|error| match token_file {
        Some(path) => of_file(error, path),
        None => error.while_trying("failed to revoke the token"),
    })?;
    Ok(surroundings.say(&format!("revoked token \"{jti}\""))?)
}

/// Names the file, of which there may be one for each dataplane: what the request calls `token` is its content.
fn of_file(error: ClientError, path: &Path) -> anyhow::Error {
    match error {
        ClientError::Refused(refusal) => {
            let name =
                |field: &str| if field == "token" { path.display().to_string() } else { field.to_owned() };
            refusal.with_fields(name).into()
        }
        error => error.while_trying(format!("failed to revoke the token in {}", path.display())),
    }
}
