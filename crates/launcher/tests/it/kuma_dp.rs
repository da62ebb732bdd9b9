//! Runs the program, and everything it needs, in a temporary folder.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// For what should take milliseconds, on a machine that is busy.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);
pub(crate) const FAKE_ENVOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fake-envoy.sh");

/// A folder with a token for dataplane web-1, kuma-dp's own folder `config`, and the folder in which the fake Envoy records.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    /// While this is open, the fake Envoy runs.
    alive: File,
}

impl Home {
    /// `pin`: the `ca` claim of the token.
    pub(crate) fn new(pin: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let pipe = folder.path().join("alive");
        mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe can be made");
        let alive = File::options().read(true).write(true).open(&pipe).expect("the pipe is ours");
        let home = Self { folder, alive };
        home.write_token(&token(
            &json!({ "Name": "web-1", "Mesh": "default", "aud": "dataplane", "ca": pin }),
        ));
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().expect("it exists").join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn write_token(&self, token: &str) {
        fs::write(self.path("web-1.token"), format!("{token}\n")).expect("the file is ours");
    }

    /// `kuma-dp run` for web-1 with the fake Envoy and a short path to everything.
    pub(crate) fn run(&self, cp_address: &str) -> Command {
        let mut command = self.kuma_dp();
        command.args(["run", "--name", "web-1", "--cp-address", cp_address]);
        command.env("KUMA_DATAPLANE_RUNTIME_BINARY_PATH", FAKE_ENVOY);
        command.arg("--dataplane-token-file").arg(self.path("web-1.token"));
        command.arg("--config-dir").arg(self.path("config"));
        command
    }

    /// The bare program, in an environment that holds nothing of this machine's.
    pub(crate) fn kuma_dp(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuma-dp"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("FAKE_ENVOY", self.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// As if Envoy crashed.
    pub(crate) fn crash_envoy(self) -> tempfile::TempDir {
        drop(self.alive);
        self.folder
    }
}

/// A token whose signature is of no importance here.
pub(crate) fn token(claims: &serde_json::Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = json!({ "alg": "HS256", "typ": "JWT", "kid": "01234567" });
    format!("{}.{}.{}", part(&header.to_string()), part(&claims.to_string()), part("signature"))
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// Runs to its end what should end by itself: its status and what it printed to stderr.
pub(crate) async fn end_of(mut command: Command) -> (Option<i32>, String) {
    let output = timeout(DEADLINE, command.output()).await.expect("it ends in time").expect("it starts");
    (output.status.code(), String::from_utf8(output.stderr).expect("it prints UTF-8"))
}

/// A kuma-dp that runs, and the lines that it and its Envoy have printed.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    /// All of them, in their order.
    seen: Vec<String>,
    /// Those that no test has asked for yet: the lines of two processes come in any order.
    unasked: Vec<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("it starts");
        let stderr = child.stderr.take().expect("it is piped");
        Self { child, lines: BufReader::new(stderr).lines(), seen: Vec::new(), unasked: Vec::new() }
    }

    /// The first line with `text` that was not asked for before.
    pub(crate) async fn line(&mut self, text: &str) -> String {
        loop {
            if let Some(index) = self.unasked.iter().position(|line| line.contains(text)) {
                return self.unasked.remove(index);
            }
            let line = timeout(DEADLINE, self.lines.next_line()).await;
            let Ok(Ok(Some(line))) = line else {
                panic!("no line with `{text}` in:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            self.unasked.push(line);
        }
    }

    /// Waits until there is an Envoy that will hear a signal. The line that announces it.
    pub(crate) async fn envoy(&mut self) -> String {
        self.line("the fake Envoy runs").await;
        self.line("Envoy is started").await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it is ours");
    }

    pub(crate) fn pid(&self) -> Pid {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("it has not been waited for");
        Pid::from_raw(pid)
    }

    /// Waits for its end: its status and all that it printed.
    pub(crate) async fn end(mut self) -> (ExitStatus, String) {
        while let Ok(Some(line)) = timeout(DEADLINE, self.lines.next_line()).await.expect("it ends in time") {
            self.seen.push(line);
        }
        let status = timeout(DEADLINE, self.child.wait()).await.expect("it ends in time");
        (status.expect("it is ours"), self.seen.join("\n"))
    }

    /// Waits for its end, and reads nothing of what it prints.
    pub(crate) async fn end_unread(mut self) -> ExitStatus {
        timeout(DEADLINE, self.child.wait()).await.expect("it ends in time").expect("it is ours")
    }
}
