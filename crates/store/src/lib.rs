//! Keeping what users wrote: a log of revisions with a materialised present.
//!
//! Writes come in as a [`Transaction`] and are answered once they are durable; reads come from [`Present`], an immutable
//! value in memory that already contains every write that this process has acknowledged; whoever wants to hear of changes
//! waits on [`Store::revisions`] and asks for [`Store::changes`] since the last one it has seen.
//!
//! Two backends pass one conformance suite: [`MemoryStore`], for tests and try-outs, and [`EmbeddedStore`], one SQLite
//! file that an operator can open. The crate knows keys and specs; it deliberately knows no policy, proxy or HTTP word.

mod apply;
mod apply_tokens;
mod embedded;
mod history;
mod memory;
mod present;
mod published;
mod rehearsal;
mod sealed;
mod tag_index;
mod tokens;
mod transaction;

use std::{future::Future, pin::Pin, sync::Arc};

use model::{DataplaneInsight, Key};
use tokio::sync::watch;

pub use apply::{mesh_secrets, print};
pub use embedded::{EmbeddedOptions, EmbeddedStore};
pub use history::Retention;
pub use memory::MemoryStore;
pub use present::{Entry, Present};
pub use rehearsal::{Rehearsal, rehearse};
pub use sealed::Sealed;
pub use tokens::{
    REVOCATIONS_MAX, Revocation, TOKEN_KEYS_MAX, TokenChange, TokenKey, TokenOutcome, Tokens, TokensChanged,
};
pub use transaction::{Change, Committed, NotARevision, Outcome, Precondition, Revision, Transaction, Write};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What every backend can do. What is written may wait for a disk; nothing else does.
pub trait Store: Send + Sync + 'static {
    /// Everything as of the latest revision that this process has acknowledged or heard of. Cheap: one `Arc`.
    fn present(&self) -> Arc<Present>;

    /// All of it or nothing, as one revision, durable when this returns. A transaction that changes nothing takes none.
    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Committed, StoreError>>;

    /// What of the resources changed after `since`, in commit order. A revision that changed something else is not in it:
    /// whoever was woken by a number has heard everything up to that number.
    ///
    /// # Errors
    /// [`HistoryGone`] when history does not reach back that far (or `since` is of the future): start from
    /// [`Store::present`] again.
    fn changes(&self, since: u64) -> Result<Vec<Arc<Change>>, HistoryGone>;

    /// The number of the latest revision. Receivers coalesce by nature: whoever is slow simply sees a later one.
    fn revisions(&self) -> watch::Receiver<u64>;

    /// A sealed secret, or `None`, as of the latest write that this process has acknowledged or heard of.
    fn secret(&self, scope: &str, name: &str) -> Option<Sealed>;

    /// The names and sealed secrets of a scope, by name.
    fn secrets(&self, scope: &str) -> Vec<(Arc<str>, Sealed)>;

    /// Keeps a sealed secret, unless there is one of that scope and name already: then that one is returned, and of
    /// two that try at once both get the same. What a mesh's scope ([`mesh_secrets`]) holds goes with the mesh, so it
    /// is refused ([`StoreError::Precondition`]) while there is no such Mesh. It takes no revision: whoever
    /// waits for a first secret has to be told by whoever puts it.
    fn put_secret_if_absent(
        &self,
        scope: &str,
        name: &str,
        sealed: Vec<u8>,
    ) -> BoxFuture<'_, Result<Sealed, StoreError>>;

    /// Puts `after` in the place of the secret that is `before`, as one revision, durable when this returns. `None`: there is
    /// another, or none, and nothing was written; whoever wants to change it has to look at it again.
    fn replace_secret(
        &self,
        scope: &str,
        name: &str,
        before: Sealed,
        after: Vec<u8>,
    ) -> BoxFuture<'_, Result<Option<Revision>, StoreError>>;

    /// Changes which tokens hold ([`Present::tokens`]), as one revision, durable when this returns. What changes nothing
    /// takes none. On some of these occasions revocations are forgotten, of tokens that have ended before `ended_before` (in
    /// seconds since 1970), which must be so long ago that every machine's clock agrees.
    fn change_tokens(
        &self,
        change: TokenChange,
        ended_before: u64,
    ) -> BoxFuture<'_, Result<TokensChanged, StoreError>>;

    /// Keeps the first key that signs tokens, unless there is one already. It takes no revision: nothing was signed
    /// before it.
    fn put_first_token_key(&self, kid: &str, sealed: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Replaces the insights of these Dataplanes in one batch; those of a Dataplane that does not exist are dropped.
    /// Insights have no revision, and they go with their Dataplane.
    fn put_insights(&self, insights: Vec<(Key, DataplaneInsight)>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Statements that have read the database since the start; 0 for memory. An idle control plane adds none.
    fn reads(&self) -> u64;
}

/// The store was asked for changes that it no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("history begins after revision {oldest}; read everything again at revision {latest}")]
pub struct HistoryGone {
    pub oldest: u64,
    pub latest: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A precondition of the transaction does not hold; nothing was written.
    #[error("{0} does not hold")]
    Precondition(Precondition),
    /// Nothing was written, or it is not known that it was: the disk is full, broken or gone.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// Why a store cannot be opened. Each says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{path} was written by a newer kuma-cp (schema {found}, this one knows {known}); start that version, or restore a backup"
    )]
    NewerSchema { path: String, found: i64, known: i64 },
    #[error("{path} is not a kuma-cp store; move it away or set store.embedded.path to another file")]
    NotAStore { path: String },
    #[error("{path} cannot be opened: {reason}; check that its folder exists, is writable and has space")]
    Unusable { path: String, reason: String },
    #[error("{path} is damaged: {reason}; restore a backup, or move the file away to start empty")]
    Damaged { path: String, reason: String },
}
