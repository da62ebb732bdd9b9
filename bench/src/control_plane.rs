//! The kuma-cp that is measured: started in a temporary folder on free ports, and ended by its pid.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How often `ports.json` is looked for. Only the start waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// For the streams to be closed and the store to be shut.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// What is shown of the log when something went wrong.
const LOG_TAIL_LINES: usize = 20;

#[derive(Debug)]
pub(crate) struct ControlPlane {
    child: Child,
    pid: u32,
    folder: TempDir,
    pub(crate) api: SocketAddr,
    pub(crate) xds: SocketAddr,
    pub(crate) diagnostics: SocketAddr,
    pub(crate) ca_pem: String,
}

impl ControlPlane {
    /// Starts it and returns when all its servers listen.
    pub(crate) async fn start(program: &Path, log_level: &str, deadline: Duration) -> anyhow::Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("bench-mesh-").tempdir().context("no temporary folder")?;
        let log = File::create(log_path(folder.path())).context("the log file cannot be made")?;
        let mut child = Command::new(program)
            .arg("run")
            .env_clear()
            .env("KUMA_GENERAL_WORK_DIR", folder.path())
            .env("KUMA_API_SERVER_PORT", "0")
            .env("KUMA_XDS_SERVER_GRPC_PORT", "0")
            .env("KUMA_XDS_SERVER_DIAGNOSTICS_PORT", "0")
            .env("KUMA_LOG_LEVEL", log_level)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!("{} does not start: build it, or name it with --kuma-cp", program.display())
            })?;

        let ports = wait_for_ports(&mut child, folder.path(), deadline).await.with_context(|| {
            format!("kuma-cp did not come up; the end of its log:\n{}", log_tail(folder.path()))
        })?;
        let ca_pem = fs::read_to_string(folder.path().join("ca.pem")).context("kuma-cp wrote no ca.pem")?;
        Ok(Self {
            pid: child.id().context("kuma-cp has ended")?,
            api: first_address(&ports, "api")?,
            xds: first_address(&ports, "xds")?,
            diagnostics: first_address(&ports, "diagnostics")?,
            child,
            folder,
            ca_pem,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        log_tail(self.folder.path())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).context("a pid is a positive i32")?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).context("kuma-cp had ended before it was asked to")?;
        let Ok(status) = timeout(STOP_WITHIN, self.child.wait()).await else {
            self.child.kill().await.context("kuma-cp cannot be killed")?;
            bail!("kuma-cp was still there {} s after SIGTERM, and was killed", STOP_WITHIN.as_secs());
        };
        let status = status.context("kuma-cp's end was not seen")?;
        ensure!(status.success(), "kuma-cp ended with {status}; the end of its log:\n{}", self.log_tail());
        Ok(())
    }
}

/// `kuma-cp` in the folder of the program that runs.
pub(crate) fn beside_this_program() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("the path of this program is not known")?;
    Ok(this.with_file_name("kuma-cp"))
}

async fn wait_for_ports(child: &mut Child, folder: &Path, deadline: Duration) -> anyhow::Result<Value> {
    let until = Instant::now() + deadline;
    let path = folder.join("ports.json");
    loop {
        if let Ok(text) = fs::read_to_string(&path) {
            return serde_json::from_str(&text).context("ports.json is not JSON");
        }
        if let Some(status) = child.try_wait().context("kuma-cp's state is not known")? {
            bail!("it ended with {status}");
        }
        ensure!(Instant::now() < until, "no ports.json within {} s", deadline.as_secs());
        sleep(LOOK_EVERY).await;
    }
}

fn first_address(ports: &Value, server: &str) -> anyhow::Result<SocketAddr> {
    let address =
        ports[server][0].as_str().with_context(|| format!("ports.json has no address of {server}"))?;
    address.parse().with_context(|| format!("ports.json: {address} is no address"))
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("kuma-cp.log")
}

fn log_tail(folder: &Path) -> String {
    let log = fs::read(log_path(folder)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}
