//! A running kuma-dp with its Envoy. Both end with their owner.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use launcher::admin::AdminAddress;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::process::Command;

use crate::{Child, ControlPlane, Programs, control_plane::sum_of};

#[derive(Debug)]
pub struct Proxy {
    process: Child,
    envoy: Pid,
    admin: AdminAddress,
    metrics: AdminAddress,
    log: PathBuf,
}

/// Whose proxy is started, and how.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    pub mesh: &'a str,
    /// Of the Dataplane.
    pub name: &'a str,
    /// `--drain-time`: how long the connections of a listener live that changes or goes.
    pub drain_time: &'a str,
}

impl<'a> Launch<'a> {
    /// A Dataplane of the mesh `default`, with a drain time that nobody waits for long.
    pub fn of(name: &'a str) -> Self {
        Self { mesh: "default", name, drain_time: "5s" }
    }
}

impl Proxy {
    /// Gets a token, starts kuma-dp for a Dataplane, and waits until its Envoy is ready.
    pub async fn start(
        programs: &Programs,
        control_plane: &ControlPlane,
        folder: &Path,
        launch: Launch<'_>,
    ) -> anyhow::Result<Self> {
        let Launch { mesh, name, drain_time } = launch;
        let token = control_plane.token(mesh, name).await?;
        std::fs::create_dir_all(folder)?;
        let token_file = folder.join("token");
        std::fs::write(&token_file, token)?;
        let mut command = Command::new(&programs.kuma_dp);
        command
            .args(["run", "--name", name, "--mesh", mesh, "--cp-address", &control_plane.url()])
            .args(["--drain-time", drain_time])
            .arg("--dataplane-token-file")
            .arg(&token_file)
            .arg("--binary-path")
            .arg(&programs.envoy)
            .arg("--config-dir")
            .arg(folder.join("dp"));
        let log = folder.join("kuma-dp.log");
        // An earlier proxy of this folder has its own lines in the log.
        let earlier = std::fs::metadata(&log).map_or(0, |log| log.len());
        let mut process = Child::spawn(&format!("kuma-dp of {name}"), &mut command, &log)?;
        let started = async || logged(&log, earlier, "Envoy is started");
        let envoy = process.until("its Envoy's start", started).await?["pid"].as_i64();
        let envoy = envoy.and_then(|pid| i32::try_from(pid).ok()).context("kuma-dp logs its Envoy's pid")?;
        let [admin, metrics] =
            ["admin.sock", "metrics.sock"].map(|it| AdminAddress::Socket(folder.join("dp").join(it)));
        // From here on, Envoy ends too when something goes wrong.
        let mut proxy = Self { process, envoy: Pid::from_raw(envoy), admin, metrics, log: log.clone() };
        let ready = async || logged(&log, earlier, "Envoy is ready");
        proxy.process.until("its Envoy's being ready", ready).await?;
        Ok(proxy)
    }

    pub fn process(&mut self) -> &mut Child {
        &mut self.process
    }

    /// An answer's body of Envoy's admin interface: `/stats`, `/config_dump`.
    ///
    /// # Errors
    /// When it does not answer, or not with a good status.
    pub async fn admin(&self, path: &str) -> anyhow::Result<String> {
        let (status, body) = self.admin.get(path).await?;
        ensure!(status.is_success(), "{path}: {status}: {body}");
        Ok(body)
    }

    /// A counter of kuma-dp's, of one series or summed over its labels; 0 where it has not counted anything yet.
    pub async fn count(&self, name: &str) -> anyhow::Result<u64> {
        let (status, metrics) = self.metrics.get("/metrics").await?;
        ensure!(status.is_success(), "/metrics: {status}: {metrics}");
        Ok(sum_of(&metrics, name).unwrap_or(0))
    }

    /// What kuma-dp and its Envoy have written, line by line.
    pub fn log(&self) -> Vec<String> {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).lines().map(str::to_owned).collect()
    }

    /// A counter or gauge of Envoy's, by its full name; 0 where Envoy does not have it (yet).
    pub async fn stat(&self, name: &str) -> anyhow::Result<u64> {
        let stats = self.admin("/stats?format=text").await?;
        let value = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map_or(Ok(0), |value| value.parse().with_context(|| format!("{name} is {value}")))
    }

    /// SIGTERM: it drains and ends.
    pub async fn terminate(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        self.process.terminate().await
    }

    /// As if the machine failed: kuma-dp and its Envoy.
    pub async fn kill_9(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        self.kill_envoy();
        self.process.kill_9().await
    }

    /// A kuma-dp that stands still reaps nobody, so the pid is still its Envoy's.
    fn kill_envoy(&self) {
        if self.process.pid().is_some() {
            self.process.signal(Signal::SIGSTOP);
            let _ = kill(self.envoy, Signal::SIGKILL); // It may have ended by itself meanwhile.
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill_envoy();
    }
}

/// The line with this message among the JSON lines of a log, of which `earlier` bytes are of no interest.
fn logged(log: &Path, earlier: u64, message: &str) -> Option<Value> {
    let log = std::fs::read_to_string(log).ok()?;
    let lines = log.get(usize::try_from(earlier).ok()?..)?.lines();
    lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| line["msg"] == message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_proxy_s_lines_are_not_this_one_s() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("kuma-dp.log");
        let earlier = "{\"msg\":\"Envoy is started\",\"pid\":1}\nnot JSON\n";
        std::fs::write(&log, earlier).unwrap();
        assert_eq!(logged(&log, 0, "Envoy is started").unwrap()["pid"], 1);
        assert_eq!(logged(&log, earlier.len() as u64, "Envoy is started"), None);
    }
}
