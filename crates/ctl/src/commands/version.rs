//! `kumactl version`.

use clap::{ArgAction, Args};

use crate::surroundings::Surroundings;

/// Show the version of kumactl
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  kumactl version\n  kumactl version --detailed")]
pub(crate) struct VersionArgs {
    /// Show also which source it was built from, and when
    #[arg(
        short = 'a', long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "true|false",
        default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true
    )]
    detailed: bool,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

// Releases are built with these set; whoever builds a work tree need not know them.
const GIT_TAG: Option<&str> = option_env!("KUMA_BUILD_GIT_TAG");
const GIT_COMMIT: Option<&str> = option_env!("KUMA_BUILD_GIT_COMMIT");
const DATE: Option<&str> = option_env!("KUMA_BUILD_DATE");

pub(super) fn run(args: &VersionArgs, surroundings: &mut Surroundings<'_>) -> anyhow::Result<()> {
    Ok(surroundings.print(&if args.detailed { detailed() } else { format!("{VERSION}\n") })?)
}

fn detailed() -> String {
    let [tag, commit, date] = [GIT_TAG, GIT_COMMIT, DATE].map(|value| value.unwrap_or("unknown"));
    format!("Version:    {VERSION}\nGit Tag:    {tag}\nGit Commit: {commit}\nBuild Date: {date}\n")
}
