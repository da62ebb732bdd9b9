//! The tables of the file, and how one comes to be.
//!
//! No column is peculiar to SQLite but `checksum`: unlike other databases it notices damage to its trees, but none to
//! what is in them. The version of the schema is `PRAGMA user_version`.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

/// `KUMA`: by it `file` and we know a store.
pub(super) const APPLICATION_ID: i64 = 0x4b55_4d41;

/// A file with a greater one is refused.
pub(super) const SCHEMA_VERSION: i64 = 1;

/// Owner only: sealed secrets are in it, and what an operator wrote about the network.
pub(super) const FILE_MODE: u32 = 0o600;

/// Keys come in the order in which the present is built, so that tables are the trees themselves (WITHOUT ROWID).
const TABLES: &str = "
CREATE TABLE resources (
    kind TEXT NOT NULL, mesh TEXT NOT NULL, name TEXT NOT NULL,
    revision INTEGER NOT NULL, created_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL,
    spec TEXT NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (kind, mesh, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE changes (
    revision INTEGER NOT NULL, seq INTEGER NOT NULL,
    kind TEXT NOT NULL, mesh TEXT NOT NULL, name TEXT NOT NULL,
    spec TEXT, author TEXT NOT NULL, at_ms INTEGER NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (revision, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE insights (
    mesh TEXT NOT NULL, name TEXT NOT NULL,
    insight TEXT NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (mesh, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE secrets (
    scope TEXT NOT NULL, name TEXT NOT NULL, sealed BLOB NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE revocations (jti TEXT NOT NULL PRIMARY KEY, exp INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE instances (id TEXT NOT NULL PRIMARY KEY, lease_until_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

/// Why no new store could be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum CreateError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// Makes an empty store at `path`, where there is none.
///
/// It is made beside its place and then moved there whole: a crash leaves no half of one, so that an empty file is
/// always a loss and never a beginning.
pub(super) fn create(path: &Path, epoch: u32) -> Result<(), CreateError> {
    let draft = with_suffix(path, "-new");
    for leftover in [draft.clone(), with_suffix(&draft, "-journal")] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&draft)?;

    let connection = Connection::open_with_flags(&draft, flags())?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         BEGIN IMMEDIATE;
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {SCHEMA_VERSION};
         {TABLES}
         INSERT INTO meta VALUES ('epoch', '{epoch:08x}'), ('revision', '0');
         COMMIT;"
    ))?;
    connection.close().map_err(|(_, error)| error)?;

    fs::rename(&draft, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// Without URI, so that any path is a path.
pub(super) fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
