//! The program kuma-cp: the command line, the environment and the signals; everything else is in the library.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use control_plane::{
    config::{self, Config, ConfigFile},
    logging, run,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Gives memory back after a storm of connections, which glibc's does not.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The control plane of a service mesh: Kuma's universal model, driving Envoy.
#[derive(Parser)]
#[command(name = "kuma-cp", version, disable_version_flag = true, after_help = "Example:\n  kuma-cp run")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the control plane
    #[command(
        after_help = "Examples:\n  kuma-cp run\n  kuma-cp run --config-file kuma-cp.yaml\n  KUMA_STORE_TYPE=memory kuma-cp run"
    )]
    Run {
        /// Settings in YAML; KUMA_* variables of the environment override them
        #[arg(short, long, value_name = "FILE")]
        config_file: Option<PathBuf>,
    },
    /// Print the version
    #[command(after_help = "Example:\n  kuma-cp version --detailed")]
    Version {
        /// Also print where the build came from
        #[arg(short = 'a', long)]
        detailed: bool,
    },
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run { config_file } => run(config_file),
        Command::Version { detailed } => print_version(detailed),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config_file: Option<PathBuf>) -> anyhow::Result<()> {
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let (config, warnings) = read_config(config_file, &variables)?;
    logging::start(&config.log);
    for warning in warnings {
        warn!("{warning}");
    }
    raise_file_limit();
    if let Err(error) = tikv_jemalloc_ctl::background_thread::write(true) {
        warn!(%error, "the allocator gives memory back only slowly");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        run::run(config, &variables, env!("CARGO_PKG_VERSION"), stop).await
    })
}

fn read_config(
    path: Option<PathBuf>,
    variables: &BTreeMap<String, String>,
) -> anyhow::Result<(Config, Vec<String>)> {
    let Some(path) = path else { return Ok(config::load(None, variables)?) };
    let yaml = std::fs::read_to_string(&path)
        .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
    let path = path.display().to_string();
    Ok(config::load(Some(ConfigFile { path: &path, yaml: &yaml }), variables)?)
}

/// Each proxy is a connection, and the usual soft limit of 1,024 files is less than a mesh.
fn raise_file_limit() {
    match rlimit::increase_nofile_limit(rlimit::INFINITY) {
        Ok(limit) => info!(limit, "open files"),
        Err(error) => warn!(%error, "the limit of open files could not be raised"),
    }
}

fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stop.cancel();
    });
    Ok(())
}

fn print_version(detailed: bool) -> anyhow::Result<()> {
    use std::io::Write as _;

    let version = env!("CARGO_PKG_VERSION");
    let unknown = "unknown";
    let mut out = std::io::stdout().lock();
    if detailed {
        writeln!(out, "Version:    {version}")?;
        writeln!(out, "Git Tag:    {}", option_env!("KUMA_BUILD_GIT_TAG").unwrap_or(unknown))?;
        writeln!(out, "Git Commit: {}", option_env!("KUMA_BUILD_GIT_COMMIT").unwrap_or(unknown))?;
        writeln!(out, "Build Date: {}", option_env!("KUMA_BUILD_DATE").unwrap_or(unknown))?;
    } else {
        writeln!(out, "{version}")?;
    }
    Ok(())
}
