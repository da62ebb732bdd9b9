//! The folder of one dataplane: what Envoy reads, the pipe that it writes into, and two sockets: of its admin interface and of
//! kuma-dp's metrics.
//!
//! Only this user can read what is in it. Every file is whole at every moment: it is written under another name and renamed,
//! which is also the event by which Envoy sees that the token or the CA has changed (`watched_directory`). Two kuma-dp never
//! share a folder, because the second would take the first one's admin socket.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;

use crate::token::{Owner, Token};
use crate::trust::Roots;

/// `sun_path` of a socket address holds 108 bytes, the last of them 0 (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;
/// The longest of the names below that a socket has.
const LONGEST_SOCKET_NAME: &str = "metrics.sock";
const WRITABLE_BY_OTHERS: u32 = 0o022;
const SECRET_TYPE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// Open as long as this value lives; a temporary folder goes with it.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Absolute and UTF-8, because the control plane puts it into the bootstrap.
    path: String,
    _lock: File,
    _temporary: Option<tempfile::TempDir>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    #[error("the folder {} cannot be used: {source}; --config-dir names another one", path.display())]
    Unusable { path: PathBuf, source: io::Error },
    #[error(
        "others own or may write into the folder {}, and so could replace what Envoy reads; \
         name a folder of your own with --config-dir",
        path.display()
    )]
    OpenToOthers { path: PathBuf },
    #[error("the path of the folder, {}, is not UTF-8; name another one with --config-dir", path.display())]
    NotUtf8 { path: PathBuf },
    #[error(
        "the folder {path} is too deep: the path of a socket in it would have {length} bytes and a socket's \
         path at most {LONGEST_SOCKET_PATH}; name a shorter one with --config-dir"
    )]
    TooDeep { path: String, length: usize },
    #[error(
        "another kuma-dp{} is using the folder {path}: this dataplane already runs here; end that one first, \
         or name another folder with --config-dir", holder(*pid)
    )]
    InUse { path: String, pid: Option<u32> },
    #[error("cannot write {path}: {source}")]
    Write { path: String, source: io::Error },
}

impl Folder {
    /// The folder that was asked for; else one in the user's runtime folder; else a fresh temporary one.
    pub(crate) fn open(
        asked: Option<&Path>,
        runtime: Option<OsString>,
        owner: &Owner,
    ) -> Result<Self, FolderError> {
        let runtime = runtime.map(PathBuf::from).filter(|path| path.is_absolute());
        let chosen = asked
            .map(Path::to_owned)
            .or_else(|| runtime.map(|folder| folder.join(format!("kuma-dp-{}-{}", owner.mesh, owner.name))));
        match chosen {
            Some(path) => Self::open_at(&path),
            None => Self::open_temporary(),
        }
    }

    fn open_temporary() -> Result<Self, FolderError> {
        let folder = tempfile::Builder::new()
            .prefix("kuma-dp-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|source| FolderError::Unusable { path: std::env::temp_dir(), source })?;
        let opened = Self::open_at(folder.path())?;
        Ok(Self { _temporary: Some(folder), ..opened })
    }

    fn open_at(path: &Path) -> Result<Self, FolderError> {
        let unusable = |source| FolderError::Unusable { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let path = fs::canonicalize(path).map_err(unusable)?;
        let metadata = fs::metadata(&path).map_err(unusable)?;
        let myself = fs::metadata("/proc/self").map_err(unusable)?.uid();
        if metadata.uid() != myself || metadata.permissions().mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(FolderError::OpenToOthers { path });
        }
        let path = path
            .into_os_string()
            .into_string()
            .map_err(|path| FolderError::NotUtf8 { path: PathBuf::from(path) })?;
        let length = path.len() + 1 + LONGEST_SOCKET_NAME.len();
        if length > LONGEST_SOCKET_PATH {
            return Err(FolderError::TooDeep { path, length });
        }
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock, _temporary: None })
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn admin_socket(&self) -> String {
        self.file("admin.sock")
    }

    pub(crate) fn metrics_socket(&self) -> String {
        self.file("metrics.sock")
    }

    pub(crate) fn access_log_pipe(&self) -> String {
        self.file("access-log.fifo")
    }

    /// Puts the pipe in its place. One that an earlier kuma-dp has left stays: its Envoy may be waiting for a reader, and
    /// could not be ended before it has one.
    pub(crate) fn make_access_log_pipe(&self) -> Result<(), FolderError> {
        let path = self.access_log_pipe();
        let owner_only = Mode::S_IRUSR | Mode::S_IWUSR;
        let is_left = fs::symlink_metadata(&path).is_ok_and(|left| {
            left.file_type().is_fifo() && left.permissions().mode() & 0o777 == owner_only.bits()
        });
        if is_left {
            return Ok(());
        }
        let made = tempfile::Builder::new()
            .make_in(&self.path, |path| Ok(mkfifo(path, owner_only)?))
            .and_then(|pipe| pipe.into_temp_path().persist(&path).map_err(|error| error.error));
        made.map_err(|source| FolderError::Write { path, source })
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.file("bootstrap.yaml")
    }

    pub(crate) fn write_bootstrap(&self, yaml: &str) -> Result<(), FolderError> {
        self.write("bootstrap.yaml", yaml)
    }

    /// The secret `dataplane_token`: the value of the `authorization` header that Envoy sends to the control plane.
    pub(crate) fn write_token(&self, token: &Token) -> Result<(), FolderError> {
        self.write_secret(
            "token.yaml",
            &json!({
                "@type": SECRET_TYPE,
                "name": "dataplane_token",
                "generic_secret": { "secret": { "inline_string": token.expose() } },
            }),
        )
    }

    /// The secret `cp_ca`: what Envoy checks the control plane's certificate against.
    pub(crate) fn write_roots(&self, roots: &Roots) -> Result<(), FolderError> {
        self.write_secret(
            "cp_ca.yaml",
            &json!({
                "@type": SECRET_TYPE,
                "name": "cp_ca",
                "validation_context": { "trusted_ca": { "inline_string": roots.pem() } },
            }),
        )
    }

    /// JSON is YAML too, and of the two the one without rules for quoting.
    fn write_secret(&self, name: &str, secret: &serde_json::Value) -> Result<(), FolderError> {
        self.write(name, &format!("{:#}\n", json!({ "resources": [secret] })))
    }

    /// A temporary file has mode 0600 from the start, and keeps it.
    fn write(&self, name: &str, content: &str) -> Result<(), FolderError> {
        let written = tempfile::NamedTempFile::new_in(&self.path).and_then(|mut file| {
            file.write_all(content.as_bytes())?;
            file.persist(self.file(name)).map_err(|error| error.error)
        });
        written.map(drop).map_err(|source| FolderError::Write { path: self.file(name), source })
    }

    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }
}

/// A socket that an earlier kuma-dp or its Envoy has left, and on which nobody listens any more.
pub(crate) fn remove_socket(path: String) -> Result<(), FolderError> {
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(FolderError::Write { path, source }),
        _ => Ok(()),
    }
}

/// The lock ends with the process, however that ends; so a file that was left behind locks nobody out.
fn lock(folder: &str) -> Result<File, FolderError> {
    let path = format!("{folder}/lock");
    let failed = |source| FolderError::Write { path: path.clone(), source };
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let pid = file.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok());
            return Err(FolderError::InUse { path: folder.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(file)
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner { mesh: "default".to_owned(), name: "web-1".to_owned() }
    }

    fn mode(path: impl AsRef<Path>) -> u32 {
        fs::metadata(path).expect("it exists").permissions().mode() & 0o777
    }

    #[test]
    fn the_folder_asked_for_comes_before_the_runtime_folder_and_that_before_a_temporary_one() {
        let base = tempfile::tempdir().expect("a temporary folder");
        let base = base.path().canonicalize().expect("it exists");
        let runtime = Some(base.clone().into_os_string());

        let asked = Folder::open(Some(&base.join("a/b")), runtime.clone(), &owner()).expect("it can be made");
        assert_eq!(Path::new(asked.path()), base.join("a/b"));
        let in_runtime = Folder::open(None, runtime, &owner()).expect("it can be made");
        assert_eq!(Path::new(in_runtime.path()), base.join("kuma-dp-default-web-1"));
        let temporary = Folder::open(None, None, &owner()).expect("it can be made");

        for folder in [&asked, &in_runtime, &temporary] {
            assert_eq!(mode(folder.path()), 0o700, "{}", folder.path());
        }
        let path = temporary.path().to_owned();
        drop(temporary);
        assert!(!Path::new(&path).exists(), "a temporary folder goes with its kuma-dp");
    }

    #[test]
    fn files_are_for_this_user_alone_and_are_replaced_whole() {
        let base = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(Some(base.path()), None, &owner()).expect("it can be used");
        folder.write_bootstrap("a long first version").expect("it can be written");
        folder.write_bootstrap("second").expect("it can be written");
        assert_eq!(fs::read_to_string(folder.bootstrap()).expect("it is there"), "second");
        assert_eq!(mode(folder.bootstrap()), 0o600);
        let names: Vec<_> = fs::read_dir(base.path())
            .expect("it can be listed")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names.len(), 2, "only the lock and the bootstrap: {names:?}");
    }

    #[test]
    fn whatever_lies_in_the_place_of_the_pipe_a_pipe_is_there_and_nothing_else_is_touched() {
        let base = tempfile::tempdir().expect("a temporary folder");
        let target = base.path().join("target");
        fs::write(&target, "mine").expect("it can be written");
        let folder = Folder::open(Some(&base.path().join("dp")), None, &owner()).expect("it can be made");
        let pipe = folder.access_log_pipe();
        let make = || {
            folder.make_access_log_pipe().expect("it can be made");
            let found = fs::symlink_metadata(&pipe).expect("it is there");
            assert!(found.file_type().is_fifo() && mode(&pipe) == 0o600, "{found:?}");
            found.ino()
        };
        let first = make();
        assert_eq!(make(), first, "an Envoy may be waiting for a reader of this one");
        fs::set_permissions(&pipe, fs::Permissions::from_mode(0o622)).expect("it is ours");
        assert_ne!(make(), first, "others could write into this one");
        for leave in [
            &|path: &str| fs::write(path, "a file").expect("it can be written"),
            &|path: &str| std::os::unix::fs::symlink(&target, path).expect("it can be made"),
            &|path: &str| drop(std::os::unix::net::UnixListener::bind(path).expect("it can be made")),
        ] as [&dyn Fn(&str); 3]
        {
            fs::remove_file(&pipe).expect("it is there");
            leave(&pipe);
            make();
        }
        assert_eq!(fs::read_to_string(&target).expect("it is there"), "mine");

        fs::remove_file(&pipe).expect("it is there");
        fs::create_dir(&pipe).expect("it can be made");
        let error = folder.make_access_log_pipe().expect_err("a folder is not replaced").to_string();
        assert!(error.contains(&pipe), "{error}");
        let left: Vec<_> = fs::read_dir(folder.path()).expect("it can be listed").collect();
        assert_eq!(left.len(), 2, "only the lock and the folder: {left:?}");
    }

    #[test]
    fn a_folder_that_cannot_serve_is_refused_with_the_remedy() {
        let base = tempfile::tempdir().expect("a temporary folder");
        let file = base.path().join("file");
        fs::write(&file, "").expect("it can be written");
        let open = base.path().join("open");
        fs::create_dir(&open).expect("it can be made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("it is ours");
        let deep = base.path().join("d".repeat(100));
        let used = base.path().join("used");
        let _first = Folder::open(Some(&used), None, &owner()).expect("it is free");

        let pid = format!("(pid {})", std::process::id());
        for (path, reason) in [
            (&file, "cannot be used"),
            (&open, "others own or may write"),
            (&deep, "at most 107"),
            (&used, pid.as_str()),
        ] {
            let error = Folder::open(Some(path), None, &owner()).expect_err(reason).to_string();
            assert!(error.contains(reason) && error.contains("--config-dir"), "{error}");
        }
    }
}
