//! `kumactl completion`: scripts that let a shell complete commands and flags.

use clap::{Args, CommandFactory, ValueEnum};

use crate::{cli::Cli, surroundings::Surroundings};

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionArgs {
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

const EXAMPLES: &str = "\
Examples:
  source <(kumactl completion bash)
  kumactl completion fish > ~/.config/fish/completions/kumactl.fish";

pub(super) fn run(args: &CompletionArgs, surroundings: &mut Surroundings<'_>) -> anyhow::Result<()> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kumactl", &mut script);
    Ok(surroundings.print(&String::from_utf8(script)?)?)
}
