//! Has a real Envoy judge every `envoy.yaml` among the cases of `plan`, as it would be sent and with what it refers to in
//! place.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{repository, static_config};

const CASES: &str = "crates/plan/tests/cases";

/// Fails, naming it, at the first case that Envoy refuses or warns about.
pub(crate) fn validate(envoy: &Path) -> anyhow::Result<()> {
    let folders = case_folders()?;
    ensure!(!folders.is_empty(), "no cases in {CASES}");
    let work_dir = tempfile::tempdir().context("cannot make a temporary folder")?;
    for folder in folders {
        let path = folder.join("envoy.yaml");
        let resources = read(&path)?;
        for (form, config) in [
            ("as sent", static_config::as_sent(&resources)),
            ("with endpoints and filters in place", static_config::in_place(&resources)),
        ] {
            let config = config.with_context(|| path.display().to_string())?;
            let file = work_dir.path().join("envoy.json");
            fs::write(&file, config.to_string())
                .with_context(|| format!("cannot write {}", file.display()))?;
            run(envoy, &file).with_context(|| format!("{}, {form}", path.display()))?;
        }
    }
    Ok(())
}

fn case_folders() -> anyhow::Result<Vec<PathBuf>> {
    let cases = repository().join(CASES);
    let entries = fs::read_dir(&cases).with_context(|| format!("cannot list {}", cases.display()))?;
    let mut folders = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    folders.sort();
    Ok(folders)
}

fn read(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is not a list of resources", path.display()))
}

fn run(envoy: &Path, config: &Path) -> anyhow::Result<()> {
    let output = Command::new(envoy)
        .args(["--mode", "validate", "--log-level", "warning", "--config-path"])
        .arg(config)
        .output()
        .with_context(|| format!("cannot run {}", envoy.display()))?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "Envoy refuses it:\n{log}");
    // A deprecated field, or an update that it ignores.
    ensure!(!log.contains("[warning]"), "Envoy warns:\n{log}");
    Ok(())
}
