//! What can be asked for.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Measure a kuma-cp with simulated proxies.
#[derive(Debug, Parser)]
#[command(name = "bench-mesh")]
#[command(after_help = "Example: bench-mesh --proxies 1000 --services 100 --outbounds 5 --json figures.json")]
pub struct Options {
    /// Dataplanes, each with its own stream
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(crate) proxies: u32,
    /// Services in the ring; each has proxies/services dataplanes
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(4..=10_000))]
    pub(crate) services: u32,
    /// Outbounds per dataplane: the services that follow its own in the ring
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) outbounds: u32,
    /// Every connection between proxies over mutual TLS, and permissions that come and go
    #[arg(long)]
    pub(crate) mtls: bool,
    /// How often each write is repeated
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeats: u32,
    /// Seconds to watch an idle control plane
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(crate) idle: u64,
    /// Milliseconds to wait after each write for answers that should not come
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub(crate) settle: u64,
    /// Seconds after which a step that has not ended is a failure
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) deadline: u64,
    /// The program to measure [default: kuma-cp beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) kuma_cp: Option<PathBuf>,
    /// KUMA_LOG_LEVEL of the control plane, whose log goes to a file
    #[arg(long, default_value = "info")]
    pub(crate) log_level: String,
    /// Write the figures here as JSON, too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline)
    }

    pub(crate) fn settle(&self) -> Duration {
        Duration::from_millis(self.settle)
    }
}
