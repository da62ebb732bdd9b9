//! The command line as a whole: the flags that every command takes, and how the commands hang together.

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};
use tracing_subscriber::filter::LevelFilter;

use crate::commands::Command;

/// Management tool for Kuma
///
/// Shows and changes what a control plane keeps: meshes, their dataplanes and their policies.
#[derive(Debug, Parser)]
#[command(name = "kumactl", after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) root: RootFlags,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  kumactl apply -f mesh.yaml
  kumactl get dataplanes --mesh demo
  kumactl config control-planes add --name east --address http://localhost:5681";

/// Sets what every command takes apart from what is a command's own.
const GLOBAL: &str = "Global options";

#[derive(Debug, Args)]
pub(crate) struct RootFlags {
    /// The configuration file [default: ~/.kumactl/config]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
    /// The mesh to use [default: that of the context, else default]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "MESH")]
    mesh: Option<String>,
    /// What to say on standard error of the requests that are made
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "LEVEL", default_value = "off")]
    log_level: LogLevel,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogLevel {
    Off,
    Info,
    Debug,
}

impl Cli {
    pub fn log_level(&self) -> LevelFilter {
        match self.root.log_level {
            LogLevel::Off => LevelFilter::OFF,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        }
    }
}

impl RootFlags {
    /// An empty `--mesh` is as good as none, as in Kuma 0.3.0.
    pub(crate) fn mesh(&self) -> Option<&str> {
        self.mesh.as_deref().filter(|mesh| !mesh.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_in_its_help() {
        fn check(command: &clap::Command) {
            let subcommands: Vec<_> =
                command.get_subcommands().filter(|it| it.get_name() != "help").collect();
            if subcommands.is_empty() {
                let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(after.contains("kumactl "), "{} has no example", command.get_name());
                assert!(command.get_about().is_some(), "{} does not say what it does", command.get_name());
            }
            subcommands.into_iter().for_each(check);
        }
        check(&Cli::command());
    }
}
