//! The five-minute tour of the README, its commands as they stand.

use std::{path::Path, process::Stdio};

use testbed::Programs;
use tokio::process::Command;

/// Runs in a network namespace of its own, because the tour uses the default ports, and in a copy of nothing: its folder is
/// empty, its home too.
#[tokio::test]
async fn the_readme_s_tour_works_as_it_stands() {
    let readme = include_str!("../../../README.md");
    let commands = bash_blocks(readme.split_once("<!-- tour:").expect("the README has a tour").1);
    assert!(commands.len() > 5);
    let programs = Programs::find().unwrap();
    let (bin, envoy) = (folder_of(&programs.kuma_cp), folder_of(&programs.envoy));
    let script = format!(
        "set -euo pipefail\nip link set lo up\nexport PATH={bin}:{envoy}:$PATH\nset -m\n{}\necho the tour is over\n",
        commands.join("\n")
    );
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args([
        "--net",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "bash",
        "-c",
        &script,
    ]);
    command.current_dir(folder.path()).env("HOME", folder.path()).env_remove("XDG_RUNTIME_DIR");
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(std::time::Duration::from_mins(5), running)
        .await
        .expect("the tour ends")
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let log = crate::shop::read(&folder.path().join("kuma-cp.log"));
    assert!(output.status.success() && stdout.contains("the tour is over"), "{stdout}\n{stderr}\n{log}");

    let count = |version: &str| {
        let line = stdout.lines().find(|line| {
            line.trim().ends_with(version) && line.trim().starts_with(|c: char| c.is_ascii_digit())
        });
        line.and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok()).unwrap_or_default()
    };
    let (v1, v2) = (count("backend v1"), count("backend v2"));
    assert!(v1 + v2 == 100 && v1 > v2, "a 90/10 split of 100 connections, not {v1}/{v2}:\n{stdout}");
    assert_eq!(stdout.matches("Online").count(), 3, "{stdout}");
}

fn bash_blocks(markdown: &str) -> Vec<&str> {
    markdown.split("```bash\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn folder_of(program: &Path) -> String {
    program.parent().unwrap_or(Path::new(".")).display().to_string()
}
