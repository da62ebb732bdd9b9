//! A kuma-dp with its Envoy.

use std::fs;
use std::path::Path;
use std::process::ExitStatus;

use anyhow::{Context as _, ensure};
use launcher::admin::AdminAddress;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::Command;

use crate::{ControlPlane, Process, Programs};

/// Short, because a test that ends a proxy waits for it.
const DRAIN_TIME: &str = "5s";

/// Its Envoy is ready when it is made. Both are killed when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
    envoy: Pid,
    admin: AdminAddress,
}

impl Proxy {
    /// Makes a token for the dataplane `name` of mesh `default`, which must be registered, and starts kuma-dp with it.
    /// `folder` is made where it is not there.
    pub async fn start(
        programs: &Programs,
        control_plane: &ControlPlane,
        folder: &Path,
        name: &str,
    ) -> anyhow::Result<Self> {
        const MESH: &str = "default";
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let token = folder.join("token");
        fs::write(&token, control_plane.token(MESH, name).await?)?;
        let mut command = Command::new(&programs.kuma_dp);
        command
            .args(["run", "--mesh", MESH, "--name", name, "--drain-time", DRAIN_TIME])
            .args(["--cp-address", &control_plane.url()])
            .arg("--dataplane-token-file")
            .arg(&token)
            .arg("--config-dir")
            .arg(folder.join("config"))
            .arg("--binary-path")
            .arg(&programs.envoy);
        let log = folder.join("kuma-dp.log");
        // Of an earlier proxy of this name.
        let _ = fs::remove_file(&log);
        let mut process = Process::start(&format!("kuma-dp of {name}"), command, &log)?;
        let started =
            process.wait_for("Envoy was started", async || logged(&log, "Envoy is started")).await?;
        let envoy = started["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let envoy = Pid::from_raw(envoy.context("kuma-dp logs the pid of its Envoy")?);
        let mut proxy =
            Self { process, envoy, admin: AdminAddress::Socket(folder.join("config/admin.sock")) };
        proxy.process.wait_for("Envoy was ready", async || logged(&log, "Envoy is ready")).await?;
        Ok(proxy)
    }

    /// The answer of Envoy's admin interface to a GET, for example of `/config_dump` or `/stats?filter=…`.
    pub async fn admin(&self, path: &str) -> anyhow::Result<String> {
        let (status, body) = self.admin.get(path).await?;
        ensure!(status.is_success(), "{path}: {status}: {body}");
        Ok(body)
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// SIGTERM: Envoy is drained, and its status is kuma-dp's.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.terminate().await
    }

    /// As if the machine failed: kuma-dp and Envoy end at once.
    pub async fn kill_9(&mut self) -> anyhow::Result<ExitStatus> {
        self.kill_envoy();
        self.process.kill_9().await
    }

    /// While kuma-dp stands still it reaps nobody, so the pid is its Envoy's, or a dead process's, but no other's.
    fn kill_envoy(&self) {
        if self.process.pid().is_some() && self.process.signal(Signal::SIGSTOP).is_ok() {
            let _ = kill(self.envoy, Signal::SIGKILL);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill_envoy();
    }
}

/// The first line of a log with this message.
fn logged(log: &Path, message: &str) -> Option<Value> {
    let log = fs::read_to_string(log).ok()?;
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["msg"] == message)
}
