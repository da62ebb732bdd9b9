//! What can be asked for.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::scenario::Kind;

/// Measure the HTTP API of a kuma-cp against nginx and etcd.
#[derive(Debug, Parser)]
#[command(name = "bench-http")]
#[command(after_help = "Example: bench-http --rounds 3 --milliseconds 500 --json figures.json")]
pub struct Options {
    /// How often each scenario is run on either side
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Milliseconds that one side of a scenario is measured in a round
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    pub(crate) milliseconds: u64,
    /// Clients that read at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) readers: u32,
    /// Clients that write at a time: a scenario for each number
    #[arg(long, default_values_t = [1, 16, 64], value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) writers: Vec<u32>,
    /// Entities in the list that is read
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(crate) entities: u32,
    /// What is measured [default: everything]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) only: Vec<Kind>,
    /// Threads of the clients [default: half of the cores]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) threads: Option<u32>,
    /// Where everything is kept while it runs; the disk of this folder is measured, too [default: the system's temporary one]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// The program to measure [default: kuma-cp beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) kuma_cp: Option<PathBuf>,
    /// nginx's program
    #[arg(long, value_name = "PATH", default_value = "/usr/sbin/nginx")]
    pub(crate) nginx: PathBuf,
    /// etcd's program
    #[arg(long, value_name = "PATH", default_value = "/usr/bin/etcd")]
    pub(crate) etcd: PathBuf,
    /// KUMA_LOG_LEVEL of the control plane, whose log goes to a file
    #[arg(long, default_value = "info")]
    pub(crate) log_level: String,
    /// Write the figures here as JSON, too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    pub(crate) fn measured(&self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }
}
