//! `kumactl generate dataplane-token`.

use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};

use crate::{
    cli::RootFlags,
    configuration::Configuration,
    surroundings::Surroundings,
    token_server::{TokenRequest, TokenServer},
};

/// Generate what proxies need to authenticate
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub(crate) enum GenerateCommand {
    DataplaneToken(DataplaneTokenArgs),
}

/// Generate a token that proves which dataplane a proxy is
///
/// Prints the token alone, without a line break. Neither the dataplane nor its mesh has to exist.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DataplaneTokenArgs {
    /// The name of the dataplane
    #[arg(long, visible_alias = "name", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    dataplane: String,
    /// How long the token is valid, such as 24h [default: without end]
    #[arg(long, value_name = "DURATION")]
    valid_for: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  kumactl generate dataplane-token --dataplane web-1 --mesh demo > web-1.token
  kumactl generate dataplane-token --dataplane web-1 --valid-for 24h";

pub(super) async fn run(
    command: &GenerateCommand,
    root: &RootFlags,
    configuration: &Configuration,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let GenerateCommand::DataplaneToken(args) = command;
    let active = configuration.active()?;
    let mesh = super::mesh(root, active.default_mesh);
    let server = TokenServer::find(&active.address, active.token_api).await?;
    let request = TokenRequest { name: &args.dataplane, mesh: &mesh, valid_for: args.valid_for.as_deref() };
    let token = server.generate(&request).await?;
    Ok(surroundings.print(&token)?)
}
