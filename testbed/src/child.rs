//! A child process whose output goes into a file, and that ends with its owner.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::Command;

/// How long anything may take to become ready or to end, on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks at a file that another program writes: there is no event for it that every machine has.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub struct Child {
    name: String,
    process: tokio::process::Child,
    log: PathBuf,
    /// Where in `log` the output of this process begins: a restarted one appends.
    log_start: u64,
}

impl Child {
    /// Without the `KUMA_*` variables of whoever runs this: only those that `command` sets itself.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let set: Vec<_> = command.as_std().get_envs().map(|(variable, _)| variable.to_owned()).collect();
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("KUMA_") && !set.contains(&variable) {
                command.env_remove(variable);
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let log_start = file.metadata()?.len();
        let process = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name: name.to_owned(), process, log: log.to_owned(), log_start })
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// What it has written since it was started.
    pub fn output(&self) -> String {
        let read = || {
            use std::io::{Read as _, Seek as _, SeekFrom};
            let mut file = File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.log_start))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&text).into_owned())
        };
        read().unwrap_or_default()
    }

    /// Waits until `ready` gives something.
    ///
    /// # Errors
    /// When the process ends before, or patience does: with its output.
    pub async fn until<T>(
        &mut self,
        what: &str,
        mut ready: impl AsyncFnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(value) = ready().await {
                return Ok(value);
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("{} ended ({status}) before {what}; it said:\n{}", self.name, self.output());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("{}: {what} did not come in {PATIENCE:?}; it said:\n{}", self.name, self.output());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// SIGTERM, and its end.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }

    /// SIGKILL, and its end.
    pub async fn kill_9(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::SIGKILL);
        self.ended().await
    }

    /// Its exit status, however it comes.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        match tokio::time::timeout(PATIENCE, self.process.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} does not end; it said:\n{}", self.name, self.output()),
        }
    }

    /// Only to a process that has not been waited for: its pid cannot be another's yet.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), signal); // It may have ended by itself meanwhile.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, folder: &Path) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Child::spawn("sh", &mut command, &folder.join("sh.log")).unwrap()
    }

    #[tokio::test]
    async fn a_program_that_ends_before_it_is_ready_is_an_error_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = shell("echo what went wrong >&2; exit 3", folder.path());
        let error = child.until("its being ready", async || None::<()>).await.unwrap_err().to_string();
        assert!(error.starts_with("sh ended (exit status: 3) before its being ready"), "{error}");
        assert!(error.contains("what went wrong"), "{error}");
    }

    #[tokio::test]
    async fn a_signal_ends_it_and_another_one_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = shell("trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done", folder.path());
        let log = folder.path().join("sh.log");
        let is_ready = async || std::fs::read_to_string(&log).ok().filter(|log| log.contains("ready"));
        child.until("its being ready", is_ready).await.unwrap();
        assert_eq!(child.terminate().await.unwrap().code(), Some(4));
        assert_eq!(child.pid(), None);
        assert_eq!(child.kill_9().await.unwrap().code(), Some(4));
    }
}
