//! A real Envoy as a judge of configurations.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use tempfile::TempDir;

pub(crate) struct Envoy {
    program: PathBuf,
    work_dir: TempDir,
    version: (u32, u32),
}

impl Envoy {
    pub(crate) fn new(program: &Path) -> anyhow::Result<Self> {
        let work_dir = tempfile::tempdir().context("cannot make a temporary folder")?;
        Ok(Self { program: program.to_owned(), work_dir, version: version(program)? })
    }

    /// Major and minor.
    pub(crate) fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Where files may lie that a configuration refers to.
    pub(crate) fn work_dir(&self) -> &Path {
        self.work_dir.path()
    }

    /// Fails, with Envoy's words, if it refuses the configuration (JSON or YAML) or warns about it.
    pub(crate) fn validate(&self, config: &str) -> anyhow::Result<()> {
        let log = self.accept(config)?;
        // A field that is deprecated, or an update from a file that it ignores.
        ensure!(!log.contains("[warning]"), "Envoy warns:\n{log}");
        Ok(())
    }

    /// What Envoy says of the configuration (JSON or YAML). Fails, with those words, if it refuses it.
    pub(crate) fn accept(&self, config: &str) -> anyhow::Result<String> {
        let file = self.work_dir.path().join("envoy.yaml");
        fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
        let output = Command::new(&self.program)
            .args(["--mode", "validate", "--log-level", "warning", "--config-path"])
            .arg(&file)
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let log = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "Envoy refuses it:\n{log}");
        Ok(log.into_owned())
    }
}

fn version(program: &Path) -> anyhow::Result<(u32, u32)> {
    let output = Command::new(program).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // `… version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`
    let (_, said) = text.split_once("version: ").unwrap_or_default();
    let numbers = said.split('/').nth(1).and_then(|version| {
        let mut numbers = version.split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    });
    numbers.with_context(|| format!("{} does not say its version, but {text}", program.display()))
}
