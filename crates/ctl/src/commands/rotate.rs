//! `kumactl rotate token-key`; `rotate mesh-ca` is in [`super::rotate_mesh_ca`].

use anyhow::bail;
use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};

use super::{
    Target,
    rotate_mesh_ca::{self, MeshCaArgs},
};
use crate::{client::TokenKey, surroundings::Surroundings, table};

/// Replace keys
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub(crate) enum RotateCommand {
    TokenKey(TokenKeyArgs),
    MeshCa(MeshCaArgs),
}

/// Replace the key that signs tokens
///
/// Makes a new key, which signs from then on, and shows all keys whose tokens are accepted. Replace the tokens, then retire
/// the old keys, each with --retire: what they have signed is refused from then on.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TokenKeyArgs {
    /// Retire this key instead of making a new one
    #[arg(long, value_name = "KID", value_parser = NonEmptyStringValueParser::new())]
    retire: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  kumactl rotate token-key
  kumactl rotate token-key --retire 4f1a09c2";

pub(super) async fn run(
    command: &RotateCommand,
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    match command {
        RotateCommand::TokenKey(args) => token_key(args, target, surroundings).await,
        RotateCommand::MeshCa(args) => rotate_mesh_ca::run(args, target, surroundings).await,
    }
}

async fn token_key(
    args: &TokenKeyArgs,
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let done = if let Some(kid) = &args.retire {
        let retired = target.client.retire_token_key(kid).await;
        let there = retired
            .map_err(|error| error.while_trying(format!("failed to retire the token key \"{kid}\"")))?;
        if !there {
            bail!("there is no token key \"{kid}\"");
        }
        format!("retired token key \"{kid}\"")
    } else {
        let made = target.client.make_token_key().await;
        let kid = made.map_err(|error| error.while_trying("failed to make a token key"))?;
        format!("made token key \"{kid}\", which signs from now on")
    };
    surroundings.say(&done)?;
    let keys = target.client.token_keys().await;
    let keys = keys.map_err(|error| error.while_trying("failed to list the token keys"))?;
    Ok(surroundings.print(&shown(&keys))?)
}

fn shown(keys: &[TokenKey]) -> String {
    let does = |signs| if signs { "signs" } else { "verifies" };
    let rows: Vec<_> = keys.iter().map(|key| vec![key.kid.clone(), does(key.signs).to_owned()]).collect();
    table::print(&["KEY", "USE"], &rows)
}
