//! Tools of this repository: what is generated and committed, and what only a real Envoy can check.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod cases;
mod descriptors;
mod envoy;
mod static_config;

#[derive(Parser)]
#[command(about, version = None)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write Envoy's descriptors, of its v3 API and its v2 API, to where `plan` embeds them
    Descriptors {
        /// Compare instead: fail if what is committed is not what would be written
        #[arg(long)]
        check: bool,
    },
    /// Have a real Envoy validate what it is told in every case of `plan`
    ValidateCases {
        /// The program
        #[arg(long)]
        envoy: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Descriptors { check: true } => descriptors::check(),
        Task::Descriptors { check: false } => descriptors::write(),
        Task::ValidateCases { envoy } => cases::validate(&envoy),
    }
}

/// Wherever a task is started from.
fn repository() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map(PathBuf::from).unwrap_or(xtask)
}
