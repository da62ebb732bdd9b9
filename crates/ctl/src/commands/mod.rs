//! One file a command: its flags, its help and what it does.

mod apply;
mod completion;
mod config;
mod delete;
mod generate;
mod get;
mod inspect;
mod inspect_dataplane;
mod inspect_mesh_cas;
mod install;
mod revoke;
mod rotate;
mod rotate_mesh_ca;
mod version;

use clap::Subcommand;

use crate::{
    cli::{Cli, RootFlags},
    client::Client,
    config_file::ConfigFile,
    configuration::Configuration,
    surroundings::Surroundings,
};

const DEFAULT_MESH: &str = "default";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Apply(apply::ApplyArgs),
    #[command(subcommand)]
    Get(get::GetCommand),
    #[command(subcommand)]
    Inspect(inspect::InspectCommand),
    Delete(delete::DeleteArgs),
    #[command(subcommand)]
    Generate(generate::GenerateCommand),
    #[command(subcommand)]
    Revoke(revoke::RevokeCommand),
    #[command(subcommand)]
    Rotate(rotate::RotateCommand),
    #[command(subcommand)]
    Install(install::InstallCommand),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    Version(version::VersionArgs),
    Completion(completion::CompletionArgs),
}

/// The command line alone shows that it cannot work; no request was made and nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

/// Does what the command line asks for.
///
/// Everything but `completion`, which shells run at their start, and `install`, which is about this machine, reads the
/// configuration, and so makes it on first use.
///
/// # Errors
///
/// [`UsageError`] for a wrong command line. Anything else is meant to be shown with its causes (`{:#}`).
pub async fn run(cli: Cli, surroundings: &mut Surroundings<'_>) -> anyhow::Result<()> {
    let Cli { root, command } = cli;
    let command = match command {
        Command::Completion(args) => return completion::run(&args, surroundings),
        Command::Install(command) => return install::run(&command, surroundings),
        command => command,
    };
    let mut file = ConfigFile::open(root.config_file.as_deref(), surroundings.home.as_deref())?;
    let configuration = &file.configuration;
    match command {
        Command::Apply(args) => apply::run(&args, &Target::of(&root, configuration)?, surroundings).await,
        Command::Get(command) => get::run(&command, &Target::of(&root, configuration)?, surroundings).await,
        Command::Inspect(command) => {
            inspect::run(&command, &Target::of(&root, configuration)?, surroundings).await
        }
        Command::Delete(args) => delete::run(&args, &Target::of(&root, configuration)?, surroundings).await,
        Command::Generate(command) => generate::run(&command, &root, configuration, surroundings).await,
        Command::Revoke(command) => {
            revoke::run(&command, &Target::of(&root, configuration)?, surroundings).await
        }
        Command::Rotate(command) => {
            rotate::run(&command, &Target::of(&root, configuration)?, surroundings).await
        }
        Command::Config(command) => config::run(&command, &mut file, surroundings).await,
        Command::Version(args) => version::run(&args, surroundings),
        Command::Install(command) => install::run(&command, surroundings),
        Command::Completion(args) => completion::run(&args, surroundings),
    }
}

/// Whom a command speaks to, and about which mesh.
struct Target {
    client: Client,
    mesh: String,
}

impl Target {
    fn of(root: &RootFlags, configuration: &Configuration) -> anyhow::Result<Self> {
        let active = configuration.active()?;
        Ok(Self { mesh: mesh(root, active.default_mesh), client: Client::new(active.address)? })
    }
}

fn mesh(root: &RootFlags, default_of_context: Option<&str>) -> String {
    root.mesh().or(default_of_context).unwrap_or(DEFAULT_MESH).to_owned()
}
