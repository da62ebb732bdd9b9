//! What a writer asks for, and what it hears back.

use std::{fmt, sync::Arc};

use model::{Key, Spec};

/// A point in the store's history. `epoch` is made with the store, so that a revision of
/// another store never means anything here.
///
/// Written `<8 hex digits>-<decimal>`: an ETag, a `Kuma-Revision`, an event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision {
    pub epoch: u32,
    pub number: u64,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.epoch, self.number)
    }
}

/// Writes that happen together. Each sees those before it.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    pub preconditions: Vec<Precondition>,
    pub writes: Vec<Write>,
    /// Who asks: a token's subject, or `loopback`.
    pub author: String,
    /// When, in milliseconds since 1970 (time is an argument, so that a replay is exact).
    pub at_ms: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The key and the spec are of one kind.
    Put(Key, Arc<Spec>),
    /// Deleting a Mesh deletes everything in it, with a tombstone for each.
    Delete(Key),
}

/// Checked against the present in the same instant as the writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    Exists(Key),
    Absent(Key),
    /// The entity's last change was at exactly this revision.
    At(Key, Revision),
}

impl fmt::Display for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(key) => write!(f, "that {key} exists"),
            Self::Absent(key) => write!(f, "that {key} does not exist"),
            Self::At(key, revision) => write!(f, "that {key} was last changed at {revision}"),
        }
    }
}

/// One entity's change, as history keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub revision: u64,
    pub key: Key,
    /// `None` is a tombstone.
    pub spec: Option<Arc<Spec>>,
    pub author: String,
    pub at_ms: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// The revision that this took, or, if it changed nothing, the latest.
    pub revision: Revision,
    /// One for each write, in order.
    pub outcomes: Vec<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Configured,
    /// It was there already, equal: no revision, the ETag stays, nobody hears of it.
    Unchanged,
    Deleted,
    /// A delete of what was not there.
    Absent,
}
