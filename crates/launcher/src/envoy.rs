//! The Envoy program: where it is, whether it will do, and how it is started.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::drain_time;
use crate::logs::Logging;

/// The first minor version with all that a bootstrap names (the upstream credential injector, file secrets with a watched
/// directory).
const OLDEST: (u32, u32) = (1, 30);
/// The newest minor version that kuma-rs has been tried with.
const NEWEST_TRIED: (u32, u32) = (1, 40);
/// `envoy --version` answers at once; a program that does not is not Envoy.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long Envoy may keep lines of its access logs to itself; by default it is 10 s, long for somebody who waits to see why
/// a call fails. It costs two wake-ups a second for each file that Envoy has open.
const ACCESS_LOG_FLUSH_MS: &str = "500";
const INSTALL: &str = "install Envoy 1.30 or newer (https://www.envoyproxy.io/docs/envoy/latest/start/install) \
                       or name one with --binary-path";

/// An Envoy that is not too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envoy {
    pub(crate) program: PathBuf,
    /// As Envoy says it: `1.40.0`.
    pub(crate) version: String,
    pub(crate) is_newer_than_tried: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvoyError {
    #[error("there is no Envoy: no program `{}` {places}; {INSTALL}", asked.display())]
    Absent { asked: PathBuf, places: String },
    #[error("{path} cannot be executed; if it is Envoy, `chmod +x {path}`, else {INSTALL}", path = path.display())]
    NotExecutable { path: PathBuf },
    #[error("{} cannot be run: {reason}; {INSTALL}", path.display())]
    CannotRun { path: PathBuf, reason: String },
    #[error("{} is not Envoy: `--version` {reason}; {INSTALL}", path.display())]
    NotEnvoy { path: PathBuf, reason: String },
    #[error("{} is Envoy {version}, which is too old; {INSTALL}", path.display())]
    TooOld { path: PathBuf, version: String },
    #[error("cannot start {}: {source}", path.display())]
    Start { path: PathBuf, source: io::Error },
}

/// Where programs are looked for, in this order.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    /// The folder that kuma-dp itself is in.
    pub(crate) beside: Option<&'a Path>,
    pub(crate) working_directory: &'a Path,
    /// The variable PATH.
    pub(crate) search_path: Option<&'a OsStr>,
}

impl Envoy {
    /// Finds the program and asks it for its version.
    pub(crate) async fn find(asked: &Path, places: &Places<'_>) -> Result<Self, EnvoyError> {
        let program = first_program(&candidates(asked, places)).map_err(|file| match file {
            Some(path) => EnvoyError::NotExecutable { path },
            None => EnvoyError::Absent { asked: asked.to_owned(), places: places.describe(asked) },
        })?;
        let output = ask_version(&program).await?;
        let version = parse_version(&output).ok_or_else(|| EnvoyError::NotEnvoy {
            path: program.clone(),
            reason: "names no Envoy version".to_owned(),
        })?;
        match (version.major, version.minor) {
            old if old < OLDEST => Err(EnvoyError::TooOld { path: program, version: version.text }),
            fine => Ok(Self { program, version: version.text, is_newer_than_tried: fine > NEWEST_TRIED }),
        }
    }

    /// Starts Envoy as a child in a process group of its own: Ctrl-C in a terminal goes to the whole foreground group, and
    /// would end Envoy before kuma-dp has drained it. The child is killed if it is dropped while it runs.
    pub(crate) fn start(
        &self,
        bootstrap: &str,
        drain: Duration,
        logging: Logging,
    ) -> Result<Child, EnvoyError> {
        Command::new(&self.program)
            .args(["-c", bootstrap])
            .args(["--drain-time-s", &drain_time::whole_seconds(drain).to_string()])
            .args(["--drain-strategy", "immediate", "--disable-hot-restart"])
            .args(["--file-flush-interval-msec", ACCESS_LOG_FLUSH_MS])
            .args(["--log-level", logging.level.of_envoy(), "--log-format", logging.format.of_envoy()])
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| EnvoyError::Start { path: self.program.clone(), source })
    }
}

impl Places<'_> {
    /// Where `asked` was looked for; the folders of PATH would hide the rest of the sentence.
    fn describe(&self, asked: &Path) -> String {
        if asked.is_absolute() {
            return "is there".to_owned();
        }
        let beside = self.beside.unwrap_or(Path::new("?")).display();
        let here = self.working_directory.display();
        let in_search_path = if asked.components().count() > 1 { "" } else { ", nor in PATH" };
        format!("beside kuma-dp (in {beside}), nor in the working directory {here}{in_search_path}")
    }
}

fn candidates(asked: &Path, places: &Places<'_>) -> Vec<PathBuf> {
    if asked.is_absolute() {
        return vec![asked.to_owned()];
    }
    let here = places.working_directory.join(asked);
    let beside = places.beside.map(|folder| folder.join(asked));
    if asked.components().count() > 1 {
        return std::iter::once(here).chain(beside).collect();
    }
    let in_search_path =
        places.search_path.into_iter().flat_map(std::env::split_paths).map(|folder| folder.join(asked));
    beside.into_iter().chain([here]).chain(in_search_path).collect()
}

/// The first that can be executed; else, because it explains better, the first file that cannot.
fn first_program(candidates: &[PathBuf]) -> Result<PathBuf, Option<PathBuf>> {
    let mut files = candidates.iter().filter(|path| path.is_file());
    let first = files.clone().next();
    files.find(|path| is_executable(path)).cloned().ok_or_else(|| first.cloned())
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

async fn ask_version(program: &Path) -> Result<String, EnvoyError> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match tokio::time::timeout(VERSION_TIMEOUT, output).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            return Err(EnvoyError::CannotRun { path: program.to_owned(), reason: error.to_string() });
        }
        Err(_) => {
            let reason = format!("did not end within {} s", VERSION_TIMEOUT.as_secs());
            return Err(EnvoyError::NotEnvoy { path: program.to_owned(), reason });
        }
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    // A missing library or a wrong C library ends here, and the loader has said why.
    let errors = String::from_utf8_lossy(&output.stderr);
    let reason = errors.lines().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(EnvoyError::CannotRun { path: program.to_owned(), reason: format!("{}, {reason}", output.status) })
}

#[derive(Debug, PartialEq, Eq)]
struct Version {
    major: u32,
    minor: u32,
    text: String,
}

/// Envoy prints `PROGRAM  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
fn parse_version(output: &str) -> Option<Version> {
    let (_, build) = output.split_once("version: ")?;
    let [_commit, text, _tree, _kind, _tls] = build.split('/').collect::<Vec<_>>()[..] else { return None };
    let mut numbers = text.split('.');
    let (major, minor) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(Version { major, minor, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_off_what_envoy_prints() {
        let release = "\nenvoy  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL\n";
        let development = "/usr/bin/envoy  version: abc/1.31.0-dev/Modified/DEBUG/BoringSSL";
        for (output, expected) in [
            (release, Some((1, 40, "1.40.0"))),
            (development, Some((1, 31, "1.31.0-dev"))),
            ("nginx version: nginx/1.22.1", None),
            ("GNU coreutils 9.1", None),
            ("version: /", None),
            ("", None),
        ] {
            let version = parse_version(output);
            assert_eq!(version.as_ref().map(|v| (v.major, v.minor, v.text.as_str())), expected, "{output}");
        }
    }

    #[test]
    fn envoy_is_looked_for_as_given_then_beside_kuma_dp_then_here_then_in_path() {
        let places = Places {
            beside: Some(Path::new("/opt/kuma/bin")),
            working_directory: Path::new("/home/me"),
            search_path: Some(OsStr::new("/usr/bin:/bin")),
        };
        for (asked, expected) in [
            ("/opt/envoy", &["/opt/envoy"][..]),
            ("build/envoy", &["/home/me/build/envoy", "/opt/kuma/bin/build/envoy"]),
            ("envoy", &["/opt/kuma/bin/envoy", "/home/me/envoy", "/usr/bin/envoy", "/bin/envoy"]),
        ] {
            let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(candidates(Path::new(asked), &places), expected, "{asked}");
        }
    }
}
