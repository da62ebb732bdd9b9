//! Runs `kumactl` with a home folder of its own, which is also where it works.

use std::{fs, path::PathBuf, process::Stdio};

use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};

pub(crate) struct Kumactl {
    home: TempDir,
}

/// What a run left behind.
#[derive(Debug, PartialEq)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Kumactl {
    /// Never used before.
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// With an active control plane at `address`.
    pub(crate) fn with(address: &str) -> Self {
        let kumactl = Self::new();
        kumactl.write(
            ".kumactl/config",
            &format!(
                "contexts: [{{name: test, controlPlane: test, defaults: {{mesh: pilot}}}}]\n\
                 controlPlanes: [{{name: test, coordinates: {{apiServer: {{url: \"{address}\"}}}}}}]\n\
                 currentContext: test\n"
            ),
        );
        kumactl
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.home.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn config(&self) -> String {
        fs::read_to_string(self.path(".kumactl/config")).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kumactl"));
        command.args(arguments).current_dir(self.home.path()).env_clear().env("HOME", self.home.path());
        command.kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "").await
    }

    pub(crate) async fn run_with(&self, arguments: &[&str], stdin: &str) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It need not read everything before it ends.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes()).await;
        let output = child.wait_with_output().await.unwrap();
        Ran {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    #[track_caller]
    pub(crate) fn expect(&self, status: i32, stdout: &str, stderr: &str) {
        let expected = Self { status, stdout: stdout.into(), stderr: stderr.into() };
        assert_eq!(*self, expected);
    }

    /// Failed, with a message that has all the parts, and nothing on standard output.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: i32, parts: &[&str]) {
        assert_eq!((self.status, self.stdout.as_str()), (status, ""), "{self:?}");
        assert!(self.stderr.starts_with("Error: ") && self.stderr.ends_with('\n'), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part} in {self:?}");
        }
    }
}
