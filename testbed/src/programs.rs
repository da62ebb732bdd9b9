//! Where the programs are that a bed is made of.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Found once, all there.
#[derive(Clone, Debug)]
pub struct Programs {
    pub kuma_cp: PathBuf,
    pub kuma_dp: PathBuf,
    pub kumactl: PathBuf,
    pub envoy: PathBuf,
}

/// The newest Envoy that `tools/fetch-envoy` knows, and the oldest: they are what is supported.
const NEWEST_ENVOY: &str = ".tools/envoy/1.40.0/envoy";
const OLDEST_ENVOY: &str = ".tools/envoy/1.36.4/envoy";

impl Programs {
    /// Ours from `$KUMA_BIN_DIR`, else from the folder of the running program (`target/<profile>`, also for its tests);
    /// Envoy from `$ENVOY`, else from `.tools` of the workspace.
    ///
    /// # Errors
    /// What is missing, with the command that gets it.
    pub fn find() -> anyhow::Result<Self> {
        let bin = match std::env::var_os("KUMA_BIN_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => profile_folder()?,
        };
        let release = if bin.ends_with("release") { "--release " } else { "" };
        let ours = format!("cargo build {release}-p control-plane -p launcher -p ctl");
        Ok(Self {
            kuma_cp: present(&bin.join("kuma-cp"), &ours)?,
            kuma_dp: present(&bin.join("kuma-dp"), &ours)?,
            kumactl: present(&bin.join("kumactl"), &ours)?,
            envoy: present(&envoy("ENVOY", NEWEST_ENVOY)?, "tools/fetch-envoy")?,
        })
    }

    /// With the oldest Envoy that is supported: from `$OLDEST_ENVOY`, else from `.tools` of the workspace.
    ///
    /// # Errors
    /// What is missing, with the command that gets it.
    pub fn with_oldest_envoy() -> anyhow::Result<Self> {
        let oldest = envoy("OLDEST_ENVOY", OLDEST_ENVOY)?;
        Ok(Self { envoy: present(&oldest, "tools/fetch-envoy 1.36.4")?, ..Self::find()? })
    }
}

fn envoy(variable: &str, fetched: &str) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(PathBuf::from(path));
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    Ok(workspace.context("the testbed lies in a workspace")?.join(fetched))
}

fn present(path: &Path, command: &str) -> anyhow::Result<PathBuf> {
    if !path.is_file() {
        bail!("{} is not there; run: {command}", path.display());
    }
    Ok(path.canonicalize()?)
}

/// `target/debug` for `target/debug/demo` and for `target/debug/deps/it-0123`.
fn profile_folder() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("the running program's own path is not known")?;
    let folder = program.parent().context("the running program lies in a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.to_owned())
}
