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

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{
    load::{self, LoadError},
    rows,
};
use crate::{Revision, TokenKey, apply::State};

/// `KUMA`: by it `file` and we know a store.
pub(super) const APPLICATION_ID: i64 = 0x4b55_4d41;

/// A file with a greater one is refused.
pub(super) const SCHEMA_VERSION: i64 = 2;

/// The oldest that is brought up to date.
pub(super) const SCHEMA_VERSION_OLDEST: i64 = 1;

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
CREATE TABLE instances (id TEXT NOT NULL PRIMARY KEY, lease_until_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

/// New in schema 2.
const TOKEN_TABLES: &str = "
CREATE TABLE token_keys (
    kid TEXT NOT NULL PRIMARY KEY, since INTEGER NOT NULL, sealed BLOB NOT NULL, checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE revocations (
    jti TEXT NOT NULL PRIMARY KEY, revision INTEGER NOT NULL, exp INTEGER, checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Where schema 1 kept the keys that sign tokens, among the secrets.
const TOKEN_KEYS_OF_SCHEMA_1: &str = "token-keys";

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
         {TOKEN_TABLES}
         INSERT INTO meta VALUES ('epoch', '{epoch:08x}'), ('revision', '0');
         COMMIT;"
    ))?;
    connection.close().map_err(|(_, error)| error)?;

    fs::rename(&draft, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// Brings a store of schema 1 up to date, all or nothing.
///
/// The keys that sign tokens have tables of their own since schema 2, which know their order; in schema 1 none was ever made
/// after the first, and nothing was ever revoked.
pub(super) fn migrate_from_1(database: &mut Connection) -> Result<(), LoadError> {
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut state = State::empty(Revision { epoch: 0, number: 0 });
    load::secrets(&transaction, &mut state)?;
    transaction.execute_batch(&format!("DROP TABLE revocations; {TOKEN_TABLES}"))?;
    for (key, sealed) in state.secrets_of(TOKEN_KEYS_OF_SCHEMA_1) {
        let token_key = TokenKey { since: 0, sealed: sealed.clone() };
        rows::put_token_key(&transaction, &key.name, &token_key)?;
    }
    transaction.execute("DELETE FROM secrets WHERE scope = ?1", [TOKEN_KEYS_OF_SCHEMA_1])?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(transaction.commit()?)
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
