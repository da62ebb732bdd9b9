//! The work directory: where one control plane keeps what it must not lose, and says where it listens.
//!
//! Mode 0700, made on the first start; every file in it that holds a secret is 0600. One process at a time: the lock is
//! held for life and vanishes with the process, however it ends.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde_json::json;

#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    /// Held until this is dropped.
    _lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum WorkDirError {
    #[error(
        "there is no place for the work directory: neither $STATE_DIRECTORY nor $HOME is set; \
         set general.workDir or KUMA_GENERAL_WORK_DIR to an absolute path"
    )]
    NoPlace,
    #[error(
        "the work directory {path} cannot be used: {reason}; make it writable for this user, or set \
         general.workDir or KUMA_GENERAL_WORK_DIR to another folder"
    )]
    Unusable { path: String, reason: io::Error },
    #[error(
        "another kuma-cp{} already works in {path}; stop it, or set general.workDir or \
         KUMA_GENERAL_WORK_DIR to another folder", pid_words(.pid)
    )]
    Taken { path: String, pid: String },
}

fn pid_words(pid: &str) -> String {
    if pid.is_empty() { String::new() } else { format!(" (pid {pid})") }
}

/// Where the servers of this process listen.
#[derive(Clone, Debug)]
pub struct Ports {
    pub api: Vec<SocketAddr>,
    pub xds: Vec<SocketAddr>,
    pub diagnostics: Vec<SocketAddr>,
}

impl WorkDir {
    /// The place of the work directory: `configured`, else `$STATE_DIRECTORY` (systemd), else `~/.kuma`.
    pub fn place(
        configured: &Path,
        state_directory: Option<&str>,
        home: Option<&str>,
    ) -> Result<PathBuf, WorkDirError> {
        let set = |value: Option<&str>| value.filter(|it| !it.is_empty()).map(PathBuf::from);
        if !configured.as_os_str().is_empty() {
            return Ok(configured.to_owned());
        }
        let home = set(home).map(|home| home.join(".kuma"));
        set(state_directory).or(home).ok_or(WorkDirError::NoPlace)
    }

    /// Makes it where it is not there, and takes its lock.
    pub fn open(path: &Path) -> Result<Self, WorkDirError> {
        let unusable = |reason| WorkDirError::Unusable { path: path.display().to_string(), reason };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let path = path.canonicalize().map_err(unusable)?;
        make_private(&path).map_err(unusable)?;
        let lock_path = path.join("lock");
        let mut options = OpenOptions::new();
        let mut lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(lock_path)
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                lock.read_to_string(&mut pid).map_err(unusable)?;
                return Err(WorkDirError::Taken {
                    path: path.display().to_string(),
                    pid: pid.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(reason)) => return Err(unusable(reason)),
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(unusable)?;
        let this = Self { path, _lock: lock };
        // What an earlier process wrote says where nobody listens any more.
        match fs::remove_file(this.path.join("ports.json")) {
            Err(reason) if reason.kind() != io::ErrorKind::NotFound => Err(unusable(reason)),
            _ => Ok(this),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of a secret file, which is made from `fresh` when it is not there.
    ///
    /// # Errors
    /// Of the file system, and whatever `fresh` says. A file that others can read is refused.
    pub fn secret_file(path: &Path, fresh: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
        match fs::read(path) {
            Ok(content) => {
                let mode = fs::metadata(path)?.permissions().mode();
                if mode & 0o077 != 0 {
                    let sentence = format!(
                        "others can read it (mode {:03o}); run: chmod 600 {}",
                        mode & 0o777,
                        path.display()
                    );
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, sentence));
                }
                Ok(content)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let content = fresh()?;
                write_atomically(path, &content, 0o600)?;
                Ok(content)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts another content in the place of a secret file.
    pub fn replace_secret_file(path: &Path, content: &[u8]) -> io::Result<()> {
        write_atomically(path, content, 0o600)
    }

    /// Writes `ca.pem`, for clients to copy.
    pub fn write_ca(&self, pem: &str) -> io::Result<()> {
        write_atomically(&self.path.join("ca.pem"), pem.as_bytes(), 0o644)
    }

    /// Writes `ports.json`: whoever waits for it finds all servers listening.
    pub fn write_ports(&self, ports: &Ports) -> io::Result<()> {
        let text = |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
        let content = json!({
            "api": text(&ports.api),
            "xds": text(&ports.xds),
            "diagnostics": text(&ports.diagnostics),
        });
        write_atomically(&self.path.join("ports.json"), format!("{content}\n").as_bytes(), 0o644)
    }
}

/// Closes a folder to others that is ours alone: empty, or one that a kuma-cp has worked in. Any other is left as it is, for
/// `/tmp` or a home would be closed to their other users.
fn make_private(path: &Path) -> io::Result<()> {
    const OTHERS: u32 = 0o077;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let is_ours = path.join("lock").exists() || fs::read_dir(path)?.next().is_none();
    if is_ours {
        return fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    }
    let sentence = format!(
        "others may look into it (mode {:03o}) and it has other content; run: chmod 700 {}",
        mode & 0o777,
        path.display()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, sentence))
}

/// All of it or nothing, also across a power cut.
fn write_atomically(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_configured_or_systemd_s_or_the_home_s() {
        let place = |configured: &str, state, home| WorkDir::place(Path::new(configured), state, home).ok();
        assert_eq!(place("/c", Some("/s"), Some("/h")), Some("/c".into()));
        assert_eq!(place("", Some("/s"), Some("/h")), Some("/s".into()));
        assert_eq!(place("", Some(""), Some("/h")), Some("/h/.kuma".into()));
        assert_eq!(place("", None, None), None);
    }

    #[test]
    fn it_is_private_and_a_second_process_is_told_the_first_one_s_pid() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let first = WorkDir::open(&path).unwrap();
        assert_eq!(fs::metadata(first.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let refused = WorkDir::open(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(first);
        WorkDir::open(&path).unwrap();
    }

    #[test]
    fn a_folder_that_others_use_is_not_closed_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let set = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        set(0o755);
        drop(WorkDir::open(folder.path()).unwrap()); // Empty: ours from now on.
        set(0o755);
        drop(WorkDir::open(folder.path()).unwrap());
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);

        fs::remove_file(folder.path().join("lock")).unwrap();
        fs::write(folder.path().join("letter"), "").unwrap();
        set(0o755);
        let refused = WorkDir::open(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("chmod 700"), "{refused}");
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_secret_file_is_made_once_and_refused_when_others_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert_eq!(WorkDir::secret_file(&path, || Ok(b"one".to_vec())).unwrap(), b"one");
        assert_eq!(WorkDir::secret_file(&path, || Ok(b"two".to_vec())).unwrap(), b"one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = WorkDir::secret_file(&path, || Ok(Vec::new())).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }
}
