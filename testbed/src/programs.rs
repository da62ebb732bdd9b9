//! Where the programs are that a mesh consists of.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

const ENVOY_VERSION: &str = "1.40.0";

/// The paths of programs that exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    pub kuma_cp: PathBuf,
    pub kuma_dp: PathBuf,
    pub kumactl: PathBuf,
    pub envoy: PathBuf,
}

impl Programs {
    /// Ours in `$KUMA_BIN_DIR`, else where cargo put the running program; Envoy as `$ENVOY`, else where `tools/fetch-envoy`
    /// puts it. A program that is not there is an error with the command that gets it.
    pub fn find() -> anyhow::Result<Self> {
        let ours = match env::var_os("KUMA_BIN_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => built_beside(&env::current_exe().context("this program does not know where it is")?),
        };
        let release = if ours.ends_with("release") { " --release" } else { "" };
        let build = format!("cargo build{release} -p control-plane -p launcher -p ctl");
        let envoy = env::var_os("ENVOY").map_or_else(fetched_envoy, PathBuf::from);
        Ok(Self {
            kuma_cp: there(ours.join("kuma-cp"), &build)?,
            kuma_dp: there(ours.join("kuma-dp"), &build)?,
            kumactl: there(ours.join("kumactl"), &build)?,
            envoy: there(envoy, "tools/fetch-envoy")?,
        })
    }
}

/// Cargo puts programs into `target/PROFILE`, and those of tests one folder deeper.
fn built_beside(own_program: &Path) -> PathBuf {
    let folder = own_program.parent().unwrap_or(Path::new(""));
    if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder }.to_owned()
}

fn fetched_envoy() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(""));
    workspace.join(".tools/envoy").join(ENVOY_VERSION).join("envoy")
}

fn there(program: PathBuf, remedy: &str) -> anyhow::Result<PathBuf> {
    ensure!(program.is_file(), "there is no {}; `{remedy}` puts it there", program.display());
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_of_a_test_are_one_folder_up() {
        for (program, folder) in [
            ("/w/target/debug/deps/it-0123", "/w/target/debug"),
            ("/w/target/release/demo", "/w/target/release"),
        ] {
            assert_eq!(built_beside(Path::new(program)), Path::new(folder));
        }
    }

    #[test]
    fn a_program_that_is_not_there_comes_with_the_command_that_gets_it() {
        let error = there("/no/envoy".into(), "tools/fetch-envoy").expect_err("it is not there");
        assert_eq!(error.to_string(), "there is no /no/envoy; `tools/fetch-envoy` puts it there");
    }
}
