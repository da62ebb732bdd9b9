//! The one thread that writes: it takes what has queued, decides it in memory and makes it last with one commit.
//!
//! Sixty-four writers share a sync of the disk this way, and the batch grows exactly as the disk slows down. An answer
//! goes out after the commit only, also one that refuses: it may rest on a write of the same batch.

use std::{path::PathBuf, sync::Arc};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::mpsc;

use super::rows::{self, WriteError};
use crate::{
    StoreError,
    apply::{Effects, State},
    published::{Next, Published},
};

/// Writes that may wait for the disk; whoever comes later waits before the queue, with nothing decided yet. It bounds
/// the memory that a stalled disk costs, and a batch: as many as arrive during a sync of a busy disk.
pub(super) const QUEUE_WRITES: usize = 256;

/// Decides a write on the state that the ones before it have led to.
pub(super) type Job = Box<dyn FnOnce(&mut State, &mut Effects) -> Reply + Send>;

/// Answers a write, once it is known whether its batch lasts; if not, with the sentence why.
pub(super) type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

pub(super) struct Writer {
    pub(super) queue: mpsc::Receiver<Job>,
    pub(super) database: Connection,
    pub(super) path: PathBuf,
    pub(super) published: Arc<Published>,
}

impl Writer {
    /// Returns when the other end of the queue is dropped and all that had queued is answered.
    pub(super) fn run(mut self) {
        while let Some(job) = self.queue.blocking_recv() {
            let batch = std::iter::once(job).chain(std::iter::from_fn(|| self.queue.try_recv().ok()));
            let (mut state, mut effects) = (self.published.state(), Effects::default());
            let replies: Vec<Reply> =
                batch.take(QUEUE_WRITES).map(|job| job(&mut state, &mut effects)).collect();

            let kept = self.keep(state, effects);
            if let Err(reason) = &kept {
                tracing::error!(path = %self.path.display(), writes = replies.len(), "nothing was written: {reason}");
            }
            for reply in replies {
                reply(kept.clone().map_err(StoreError::Unavailable));
            }
        }
    }

    /// On disk first, then in sight.
    fn keep(&mut self, state: State, effects: Effects) -> Result<(), String> {
        if effects.is_empty() {
            return Ok(());
        }
        let next = self.published.prepare(state, effects);
        self.commit(&next).map_err(|error| self.sentence(&error))?;
        self.published.publish(next);
        Ok(())
    }

    /// An error at any point rolls back: rusqlite's transaction does that when it is dropped.
    fn commit(&mut self, next: &Next) -> Result<(), WriteError> {
        let since = self.published.present().revision().number;
        let transaction = self.database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        rows::write(&transaction, since, next)?;
        Ok(transaction.commit()?)
    }

    fn sentence(&self, error: &WriteError) -> String {
        let path = self.path.display();
        let WriteError::Sqlite(error) = error else { return format!("{path}: {error}") };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => format!("the disk of {path} is full; make room, then write again"),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                format!("another process holds {path}; end it (a sqlite3 shell?), then write again")
            }
            _ => format!("{path} cannot be written: {error}; check its disk, then write again"),
        }
    }
}
