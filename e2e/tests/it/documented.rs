//! Commands that a document shows, run as its reader would run them: with bash, on the default ports.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use testbed::Programs;
use tokio::process::Command;

/// A fenced block of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    /// Of its first fence, counted from 1.
    pub(crate) line: usize,
    /// What stands behind the first fence.
    pub(crate) language: &'a str,
    pub(crate) text: &'a str,
}

/// All blocks, in order. A fence begins its line.
pub(crate) fn blocks(markdown: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut opened: Option<(usize, &str, usize)> = None;
    let mut at = 0;
    for (i, line) in markdown.split_inclusive('\n').enumerate() {
        if let Some(language) = line.trim_end().strip_prefix("```") {
            opened = match opened {
                None => Some((i + 1, language, at + line.len())),
                Some((line, language, start)) => {
                    blocks.push(Block { line, language, text: &markdown[start..at] });
                    None
                }
            };
        }
        at += line.len();
    }
    assert!(opened.is_none(), "a block is not closed: {opened:?}");
    blocks
}

/// Runs `script`, which ends at its first command that fails.
///
/// In a network namespace of its own, because a document uses the default ports, and with the programs in the `PATH`. What it
/// mounts, only it and what it starts can see.
/// `folder` is its working directory and its home. What it leaves running ends with it.
pub(crate) async fn run(script: &str, folder: &Path) -> Output {
    let programs = Programs::find().unwrap();
    let (bin, envoy) = (folder_of(&programs.kuma_cp), folder_of(&programs.envoy));
    let script =
        format!("set -euo pipefail\nip link set lo up\nexport PATH={bin}:{envoy}:$PATH\nset -m\n{script}");
    let mut command = Command::new("unshare");
    command.args([
        "--net",
        "--mount",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "bash",
        "-c",
        &script,
    ]);
    command.current_dir(folder).env("HOME", folder).env_remove("XDG_RUNTIME_DIR");
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    tokio::time::timeout(std::time::Duration::from_mins(5), running).await.expect("the commands end").unwrap()
}

fn folder_of(program: &Path) -> String {
    program.parent().unwrap_or(Path::new(".")).display().to_string()
}
