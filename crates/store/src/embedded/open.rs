//! Opening the file: is it one of ours, of a version that we know, whole, and ours alone to read?

use std::{
    fs, io,
    num::NonZeroU32,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{
    Connection, ErrorCode, MAIN_DB,
    trace::{TraceEvent, TraceEventCodes},
};

use super::{
    load::{self, LoadError},
    schema::{
        self, APPLICATION_ID, CreateError, FILE_MODE, SCHEMA_VERSION, SCHEMA_VERSION_OLDEST, with_suffix,
    },
};
use crate::{OpenError, apply::State, history::History};

/// How long to wait for another process, such as an operator's `sqlite3`, to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A write-ahead log that one great commit has stretched is cut to this size again.
const JOURNAL_BYTES: u32 = 64 << 20;

pub(super) fn open(
    path: &Path,
    epoch_if_new: u32,
    max_pages: Option<NonZeroU32>,
    reads: &Arc<AtomicU64>,
) -> Result<(Connection, State, History), OpenError> {
    let file = Named(path);
    file.create_if_absent(epoch_if_new)?;
    let mut database =
        Connection::open_with_flags(path, schema::flags()).map_err(|error| file.sqlite(&error))?;
    count_reads(&mut database, reads.clone()).map_err(|error| file.sqlite(&error))?;
    let schema = file.check_identity(&database)?;
    file.configure(&database, max_pages)?;
    for suffix in ["", "-wal", "-shm"] {
        file.keep_private(&with_suffix(path, suffix))?;
    }
    file.check_whole(&database)?;
    if schema < SCHEMA_VERSION {
        schema::migrate_from_1(&mut database).map_err(|error| file.load(error))?;
        tracing::info!(path = %path.display(), from = schema, to = SCHEMA_VERSION, "brought the store's schema up to date");
    }
    let (state, history) = load::load(&database).map_err(|error| file.load(error))?;
    Ok((database, state, history))
}

/// Counts the queries among what SQLite itself says that it runs, so that none of ours goes unnoticed.
fn count_reads(database: &mut Connection, reads: Arc<AtomicU64>) -> rusqlite::Result<()> {
    let count = move |event: TraceEvent<'_>| {
        if let TraceEvent::Stmt(_, sql) = event
            && sql.trim_start().get(..6).is_some_and(|verb| verb.eq_ignore_ascii_case("select"))
        {
            reads.fetch_add(1, Ordering::Relaxed);
        }
    };
    database.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(count))
}

/// The file, for errors to say where.
struct Named<'a>(&'a Path);

impl Named<'_> {
    fn create_if_absent(&self, epoch: u32) -> Result<(), OpenError> {
        match fs::metadata(self.0) {
            Ok(file) if file.is_file() && file.len() == 0 => return Err(self.damaged("it is empty")),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.unusable(&error)),
            Err(_) => {}
        }
        let log = with_suffix(self.0, "-wal");
        if log.exists() {
            let log = log.display();
            return Err(
                self.damaged(&format!("its log {log} is there, but not the file itself; they go together"))
            );
        }
        schema::create(self.0, epoch).map_err(|error| match error {
            CreateError::Io(error) => self.unusable(&error),
            CreateError::Sqlite(error) => self.unusable(&error),
        })
    }

    /// Takes from group and others what they may do with the file, where it exists.
    fn keep_private(&self, path: &Path) -> Result<(), OpenError> {
        let mode = match fs::metadata(path) {
            Ok(file) => file.permissions().mode(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.unusable(&error)),
        };
        if mode & 0o777 == FILE_MODE {
            return Ok(());
        }
        fs::set_permissions(path, fs::Permissions::from_mode(FILE_MODE))
            .map_err(|error| self.unusable(&error))
    }

    /// The version of its schema. Before anything is changed: it may be another program's.
    fn check_identity(&self, database: &Connection) -> Result<i64, OpenError> {
        let application_id = self.pragma(database, "PRAGMA application_id")?;
        let schema = self.pragma(database, "PRAGMA user_version")?;
        let path = self.text();
        match (application_id, schema) {
            (APPLICATION_ID, SCHEMA_VERSION_OLDEST..=SCHEMA_VERSION) => Ok(schema),
            (APPLICATION_ID, newer) if newer > SCHEMA_VERSION => {
                Err(OpenError::NewerSchema { path, found: newer, known: SCHEMA_VERSION })
            }
            (APPLICATION_ID, unknown) => Err(self.damaged(&format!("there is no schema {unknown}"))),
            _ => Err(OpenError::NotAStore { path }),
        }
    }

    fn configure(&self, database: &Connection, max_pages: Option<NonZeroU32>) -> Result<(), OpenError> {
        let configure = || {
            database.busy_timeout(BUSY_TIMEOUT)?;
            database.execute_batch(&format!(
                "PRAGMA synchronous = FULL;
                 PRAGMA temp_store = MEMORY;
                 PRAGMA trusted_schema = OFF;
                 PRAGMA cell_size_check = ON;
                 PRAGMA journal_size_limit = {JOURNAL_BYTES};"
            ))?;
            if let Some(pages) = max_pages {
                database.pragma_update(None, "max_page_count", pages.get())?;
            }
            database.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        };
        let journal = configure().map_err(|error| self.sqlite(&error))?;
        if database.is_readonly(MAIN_DB).map_err(|error| self.sqlite(&error))? {
            return Err(self.unusable(&"it is read-only"));
        }
        match journal.as_str() {
            "wal" => Ok(()),
            _ => Err(self.unusable(&"its file system cannot hold a write-ahead log")),
        }
    }

    fn check_whole(&self, database: &Connection) -> Result<(), OpenError> {
        let mut findings = String::new();
        let checked = load::each(database, "PRAGMA quick_check(1)", |row| {
            findings = row.get(0)?;
            Ok(())
        });
        checked.map_err(|error| self.load(error))?;
        if findings == "ok" { Ok(()) } else { Err(self.damaged(&findings)) }
    }

    fn pragma(&self, database: &Connection, sql: &str) -> Result<i64, OpenError> {
        let mut value = 0;
        let read = load::each(database, sql, |row| {
            value = row.get(0)?;
            Ok(())
        });
        read.map_err(|error| self.load(error)).map(|()| value)
    }

    fn load(&self, error: LoadError) -> OpenError {
        match error {
            LoadError::Sqlite(error) => self.sqlite(&error),
            LoadError::Damaged(reason) => self.damaged(&reason),
        }
    }

    fn sqlite(&self, error: &rusqlite::Error) -> OpenError {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::NotAStore { path: self.text() },
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OutOfMemory,
            ) => self.unusable(error),
            // A table that is not there, a number where text should be, text that is no UTF-8: not what was written.
            _ => self.damaged(&error.to_string()),
        }
    }

    fn unusable(&self, reason: &dyn std::fmt::Display) -> OpenError {
        OpenError::Unusable { path: self.text(), reason: reason.to_string() }
    }

    fn damaged(&self, reason: &str) -> OpenError {
        OpenError::Damaged { path: self.text(), reason: reason.to_owned() }
    }

    fn text(&self) -> String {
        self.0.display().to_string()
    }
}
