//! The default store: one SQLite file, which needs no server and which an operator can open with `sqlite3`.
//!
//! Everything is read once, when it opens; from then on reads are answered from memory and the file is only written.
//! A write is acknowledged when it is on disk (write-ahead log, `synchronous=FULL`).

mod checksum;
mod load;
mod open;
mod rows;
mod schema;
mod writer;

use std::{
    num::NonZeroU32,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use model::{DataplaneInsight, Key};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    BoxFuture, Change, Committed, HistoryGone, OpenError, Present, Retention, Revision, Sealed, Store,
    StoreError, TokenChange, TokensChanged, Transaction,
    apply::{self, Effects, SecretKey, State},
    apply_tokens,
    published::Published,
};
use writer::{Job, QUEUE_WRITES, Writer};

/// Dropping it waits until what has queued is written, and closes the file.
pub struct EmbeddedStore {
    published: Arc<Published>,
    reads: Arc<AtomicU64>,
    /// `None` only while it is dropped: the end of the queue ends the thread.
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct EmbeddedOptions {
    pub retention: Retention,
    /// The most pages (of 4 KiB) that the file may have: what would need more is refused as on a full disk. `None` is
    /// SQLite's own limit, 16 TiB.
    pub max_pages: Option<NonZeroU32>,
}

impl EmbeddedStore {
    /// Opens the file, or makes it, with an epoch that should be random. Blocks for as long as it takes to check and
    /// read all of it, which grows with its size: call it before serving, or where blocking is allowed.
    ///
    /// The file and those that SQLite puts beside it are readable by their owner only. Two processes must not have one
    /// file open; a second one is not kept out here, but its writes, or ours, are refused.
    pub fn open(path: &Path, epoch_if_new: u32) -> Result<Self, OpenError> {
        Self::open_with(path, epoch_if_new, EmbeddedOptions::default())
    }

    pub fn open_with(path: &Path, epoch_if_new: u32, options: EmbeddedOptions) -> Result<Self, OpenError> {
        let reads = Arc::new(AtomicU64::new(0));
        let (database, state, history) = open::open(path, epoch_if_new, options.max_pages, &reads)?;
        tracing::info!(
            path = %path.display(),
            revision = %state.present.revision,
            resources = state.present.resources.size(),
            "opened the store"
        );

        let published = Arc::new(Published::new(state, history, options.retention));
        let (sender, queue) = mpsc::channel(QUEUE_WRITES);
        let writer = Writer { queue, database, path: path.to_owned(), published: published.clone() };
        let thread = thread::Builder::new().name("store".into()).spawn(|| writer.run()).map_err(|error| {
            OpenError::Unusable { path: path.display().to_string(), reason: error.to_string() }
        })?;
        Ok(Self { published, reads, queue: Some(sender), thread: Some(thread) })
    }

    /// Has the writer do `work`. If the future is dropped while it waits, the write may happen or not.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State, &mut Effects) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |state, effects| {
            let decided = work(state, effects);
            // Who does not wait any more needs no answer.
            Box::new(move |kept| drop(answer.send(kept.and(decided))))
        });
        let ended = || StoreError::Unavailable("its writer has ended; restart the control plane".into());
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        queue.send(job).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so on its own.
            drop(thread.join());
        }
    }
}

impl Store for EmbeddedStore {
    fn present(&self) -> Arc<Present> {
        self.published.present()
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Committed, StoreError>> {
        apply::assert_well_formed(&transaction);
        Box::pin(self.write(move |state, effects| apply::transact(state, effects, &transaction)))
    }

    fn changes(&self, since: u64) -> Result<Vec<Arc<Change>>, HistoryGone> {
        self.published.changes(since)
    }

    fn revisions(&self) -> watch::Receiver<u64> {
        self.published.revisions()
    }

    fn secret(&self, scope: &str, name: &str) -> Option<Sealed> {
        self.published.secret(scope, name)
    }

    fn secrets(&self, scope: &str) -> Vec<(Arc<str>, Sealed)> {
        self.published.secrets(scope)
    }

    fn put_secret_if_absent(
        &self,
        scope: &str,
        name: &str,
        sealed: Vec<u8>,
    ) -> BoxFuture<'_, Result<Sealed, StoreError>> {
        let key = SecretKey { scope: scope.into(), name: name.into() };
        Box::pin(
            self.write(move |state, effects| apply::put_secret_if_absent(state, effects, key, sealed.into())),
        )
    }

    fn replace_secret(
        &self,
        scope: &str,
        name: &str,
        before: Sealed,
        after: Vec<u8>,
    ) -> BoxFuture<'_, Result<Option<Revision>, StoreError>> {
        let key = SecretKey { scope: scope.into(), name: name.into() };
        Box::pin(self.write(move |state, effects| {
            Ok(apply::replace_secret(state, effects, key, &before, after.into()))
        }))
    }

    fn change_tokens(
        &self,
        change: TokenChange,
        ended_before: u64,
    ) -> BoxFuture<'_, Result<TokensChanged, StoreError>> {
        Box::pin(self.write(move |state, effects| {
            Ok(apply_tokens::change_tokens(state, effects, change, ended_before))
        }))
    }

    fn put_first_token_key(&self, kid: &str, sealed: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>> {
        let kid = kid.to_owned();
        Box::pin(self.write(move |state, effects| {
            apply_tokens::put_first_token_key(state, effects, kid, sealed);
            Ok(())
        }))
    }

    fn put_insights(&self, insights: Vec<(Key, DataplaneInsight)>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.write(move |state, effects| {
            apply::put_insights(state, effects, insights);
            Ok(())
        }))
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}
