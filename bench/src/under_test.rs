//! The kuma-cp that is measured.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use testbed::ControlPlane;

/// What is shown of the log when something went wrong.
const LOG_TAIL_LINES: usize = 20;

/// The one that was asked for, else the one in the folder of the program that runs.
pub(crate) fn program(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    let Some(path) = asked else {
        let this = std::env::current_exe().context("the path of this program is not known")?;
        return Ok(this.with_file_name("kuma-cp"));
    };
    Ok(path.to_owned())
}

/// SIGTERM, and its end, which has to be a good one.
pub(crate) async fn stop(control_plane: &mut ControlPlane) -> anyhow::Result<()> {
    let status = control_plane.terminate().await?;
    ensure!(
        status.success(),
        "kuma-cp ended with {status}; the end of its log:\n{}",
        log_tail(control_plane)
    );
    Ok(())
}

pub(crate) fn log_tail(control_plane: &ControlPlane) -> String {
    let log = control_plane.process().output();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}
