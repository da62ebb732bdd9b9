//! The command line of kuma-dp: every flag of Kuma 0.3.0 that still means something, each with its environment variable.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::address::Address;
use crate::drain_time;
use crate::logs::Level;

/// Runs Envoy beside an application, as one dataplane of a mesh.
#[derive(Debug, Parser)]
#[command(
    name = "kuma-dp",
    after_help = "Example:\n  kuma-dp run --name web-1 --dataplane-token-file web-1.token"
)]
pub struct CommandLine {
    /// How much to log to stderr, Envoy's own lines included.
    #[arg(long, global = true, value_enum, default_value_t = Level::Info, env = "KUMA_DATAPLANE_LOG_LEVEL")]
    pub(crate) log_level: Level,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts Envoy for a dataplane and stays until Envoy ends.
    ///
    /// SIGTERM or Ctrl-C drains Envoy first: it reports itself unhealthy, and ends when its last connection is gone or the
    /// drain time is over. A second signal skips the drain.
    #[command(after_help = "Example:\n  \
        kumactl generate dataplane-token --name web-1 > web-1.token\n  \
        kuma-dp run --name web-1 --cp-address http://localhost:5681 --dataplane-token-file web-1.token")]
    Run(Box<RunOptions>),
    /// Prints the version.
    #[command(after_help = "Example:\n  kuma-dp version --detailed")]
    Version {
        /// Also print what it was built from.
        #[arg(long, short = 'a')]
        detailed: bool,
    },
    /// Prints a script that completes commands and flags in a shell.
    #[command(after_help = "Example:\n  source <(kuma-dp completion bash)")]
    Completion {
        #[arg(value_parser = parse_shell)]
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Name of the dataplane, as it is registered with the control plane.
    #[arg(long, env = "KUMA_DATAPLANE_NAME", value_parser = parse_name)]
    pub(crate) name: String,
    /// Mesh of the dataplane.
    #[arg(long, env = "KUMA_DATAPLANE_MESH", default_value = "default", value_parser = parse_name)]
    pub(crate) mesh: String,
    /// The control plane's HTTP API: http on this machine only, https everywhere.
    #[arg(
        long,
        env = "KUMA_CONTROL_PLANE_API_SERVER_URL",
        default_value = "http://localhost:5681",
        value_parser = Address::parse
    )]
    pub(crate) cp_address: Address,
    /// File with the dataplane's token, from `kumactl generate dataplane-token`. It is watched: a new token counts without
    /// a restart.
    #[arg(long, value_name = "FILE", env = "KUMA_DATAPLANE_RUNTIME_TOKEN_PATH")]
    dataplane_token_file: Option<PathBuf>,
    /// Port of Envoy's admin interface on 127.0.0.1; 0: a socket that only this user can open.
    #[arg(long, value_name = "PORT", env = "KUMA_DATAPLANE_ADMIN_PORT", default_value_t = 0)]
    pub(crate) admin_port: u16,
    /// Port of kuma-dp's own metrics on 127.0.0.1; 0: only on metrics.sock in its folder.
    #[arg(long, value_name = "PORT", env = "KUMA_DATAPLANE_METRICS_PORT", default_value_t = 0)]
    pub(crate) metrics_port: u16,
    /// The Envoy to run: looked up as given, then beside kuma-dp, in the working directory, and in PATH.
    #[arg(long, value_name = "FILE", env = "KUMA_DATAPLANE_RUNTIME_BINARY_PATH", default_value = "envoy")]
    pub(crate) binary_path: PathBuf,
    /// Folder for what Envoy reads, one for each dataplane. Default: kuma-dp-MESH-NAME in $XDG_RUNTIME_DIR, else a fresh
    /// temporary folder.
    #[arg(long, value_name = "DIR", env = "KUMA_DATAPLANE_RUNTIME_CONFIG_DIR")]
    pub(crate) config_dir: Option<PathBuf>,
    /// PEM file with the CA of the control plane's certificate. Default: what the control plane offers, if it is the CA that
    /// the token names.
    #[arg(long, value_name = "FILE", env = "KUMA_CONTROL_PLANE_CA_CERT_FILE")]
    pub(crate) ca_cert_file: Option<PathBuf>,
    /// How long to wait for connections to end before Envoy is stopped.
    #[arg(
        long,
        value_name = "DURATION",
        env = "KUMA_DATAPLANE_DRAIN_TIME",
        default_value = "30s",
        value_parser = drain_time::parse
    )]
    pub(crate) drain_time: Duration,
}

impl RunOptions {
    /// Every control plane of ours asks for a token, so there is no run without one; the error says how to make it.
    pub(crate) fn token_file(&self) -> Result<&Path, clap::Error> {
        self.dataplane_token_file.as_deref().ok_or_else(|| {
            let Self { mesh, name, .. } = self;
            clap::Error::raw(
                ErrorKind::MissingRequiredArgument,
                format!(
                    "a dataplane needs a token: make one with `kumactl generate dataplane-token --name {name} --mesh \
                     {mesh} > {name}.token` and name the file with --dataplane-token-file\n"
                ),
            )
        })
    }
}

/// A name is a part of a path here, so what Kuma's API allows is checked before anything is done with it.
fn parse_name(text: &str) -> Result<String, String> {
    const LONGEST: usize = 253;
    if text.is_empty() {
        return Err("a name cannot be empty".to_owned());
    }
    if text.len() > LONGEST {
        return Err(format!("a name has at most {LONGEST} characters"));
    }
    if !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'-' | b'_')) {
        return Err("valid characters are numbers, lowercase latin letters and '-', '_' symbols".to_owned());
    }
    Ok(text.to_owned())
}

fn parse_shell(text: &str) -> Result<clap_complete::Shell, String> {
    match text {
        "bash" => Ok(clap_complete::Shell::Bash),
        "zsh" => Ok(clap_complete::Shell::Zsh),
        "fish" => Ok(clap_complete::Shell::Fish),
        _ => Err("shells that are known: bash, zsh, fish".to_owned()),
    }
}
