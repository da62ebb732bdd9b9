//! A program that was started: its log, its signals, its end.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// For what takes a second or less on an idle machine: who waits longer waits for something that will not come.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);
const LOG_LINES_SHOWN: usize = 20;

/// Killed when it is dropped while it runs.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both its outputs at the end of the file `log`, and without the `KUMA_…` variables of whoever
    /// runs this. It stays in our process group, so that Ctrl-C reaches it also where nobody lives to drop it.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let inherited = env::vars_os().map(|(variable, _)| variable);
        let ours: Vec<_> = command.as_std().get_envs().map(|(variable, _)| variable.to_owned()).collect();
        for variable in inherited.filter(|it| it.to_string_lossy().starts_with("KUMA_") && !ours.contains(it))
        {
            command.env_remove(variable);
        }
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .and_then(|file| Ok((file.try_clone()?, file)))
            .with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.0)
            .stderr(output.1)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// None once it has ended and that has been seen.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it has printed, all its lives long.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Sends a signal; to a process that has ended, nothing.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        let pid = Pid::from_raw(i32::try_from(pid).context("a pid is an i32")?);
        kill(pid, signal).with_context(|| format!("{signal} cannot be sent to {}", self.name))
    }

    /// SIGTERM, and its status once it has ended.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.ended().await
    }

    /// SIGKILL, and its status once it has ended.
    pub async fn kill_9(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::SIGKILL)?;
        self.ended().await
    }

    async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        match timeout(DEADLINE, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} does not end; {}", self.name, self.end_of_log()),
        }
    }

    /// Asks `found` until it has something to give: programs announce their readiness in files and over sockets, which have
    /// no event that would be simpler to wait for. An error if the program ends meanwhile.
    pub(crate) async fn wait_for<T>(
        &mut self,
        what: &str,
        mut found: impl AsyncFnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        const PACE: Duration = Duration::from_millis(10);
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(it) = found().await {
                return Ok(it);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before {what}; {}", self.name, self.end_of_log());
            }
            if Instant::now() > deadline {
                bail!("{}: still not {what}; {}", self.name, self.end_of_log());
            }
            sleep(PACE).await;
        }
    }

    fn end_of_log(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        format!("the end of its log, {}:\n{}", self.log.display(), last.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, folder: &Path) -> Process {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Process::start("sh", command, &folder.join("sh.log")).expect("it starts")
    }

    #[tokio::test]
    async fn a_program_that_ends_before_it_is_ready_is_an_error_with_its_log() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut process = shell("echo what went wrong >&2; exit 3", folder.path());
        let error = process.wait_for("it was ready", async || None::<()>).await.expect_err("it ends");
        let error = error.to_string();
        assert!(error.starts_with("sh ended with exit status: 3 before it was ready"), "{error}");
        assert!(error.contains("what went wrong"), "{error}");
    }

    #[tokio::test]
    async fn a_signal_ends_it_and_another_one_is_no_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut process =
            shell("trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done", folder.path());
        let log = folder.path().join("sh.log");
        let is_ready = async || std::fs::read_to_string(&log).ok().filter(|log| log.contains("ready"));
        process.wait_for("it was ready", is_ready).await.expect("it says so");
        assert_eq!(process.terminate().await.expect("it ends").code(), Some(4));
        assert_eq!(process.pid(), None);
        assert_eq!(process.kill_9().await.expect("it has ended").code(), Some(4));
    }
}
