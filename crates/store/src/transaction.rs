//! What a writer asks for, and what it hears back.

use std::{fmt, str::FromStr, sync::Arc};

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

/// A text that is no [`Revision`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a revision is written <8 hex digits>-<decimal>, such as 00c0ffee-42")]
pub struct NotARevision;

/// Reads what is printed and nothing else: of one revision there is one text.
impl FromStr for Revision {
    type Err = NotARevision;

    fn from_str(text: &str) -> Result<Self, NotARevision> {
        let (epoch, number) = text.split_once('-').ok_or(NotARevision)?;
        let revision = Self {
            epoch: u32::from_str_radix(epoch, 16).map_err(|_| NotARevision)?,
            number: number.parse().map_err(|_| NotARevision)?,
        };
        if revision.to_string() == text { Ok(revision) } else { Err(NotARevision) }
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

impl Write {
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
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

impl Outcome {
    /// The variant in lower case, as users read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
            Self::Absent => "absent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_has_one_text() {
        for text in ["00c0ffee-42", "00000000-0", "ffffffff-18446744073709551615"] {
            assert_eq!(text.parse::<Revision>().map(|it| it.to_string()).as_deref(), Ok(text));
        }
        for text in [
            "",
            "-",
            "c0ffee-42",
            "00C0FFEE-42",
            "00c0ffee-042",
            "00c0ffee-+42",
            "00c0ffee",
            "00c0ffee-",
            "+0c0ffee-1",
            "00c0ffee-18446744073709551616",
            "\"00c0ffee-42\"",
        ] {
            assert_eq!(text.parse::<Revision>(), Err(NotARevision), "{text}");
        }
    }
}
