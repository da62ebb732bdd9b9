//! The changes that led to the present, as far back as they are kept.
//!
//! History is cut at its old end, a bounded step with each commit. What is cut takes its tombstone along.

use std::{collections::VecDeque, sync::Arc};

use crate::{Change, HistoryGone, Present};

/// How much history is kept: what is younger than `max_age_ms` and among the last `max_rows`, and in any case the last
/// `min_rows`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// In milliseconds, by the times of the transactions.
    pub max_age_ms: u64,
    /// In changes. Exceeded by at most what the largest commit changed, until later ones have caught up.
    pub max_rows: usize,
    /// In changes.
    pub min_rows: usize,
}

/// Seven days or 100,000 changes, and never less than 1,000.
impl Default for Retention {
    fn default() -> Self {
        Self { max_age_ms: 7 * 24 * 60 * 60 * 1000, max_rows: 100_000, min_rows: 1_000 }
    }
}

/// How many changes a commit cuts beyond as many as it adds: enough to catch up, too few to be felt.
const CUT_ROWS: usize = 256;

#[derive(Debug)]
pub(crate) struct History {
    changes: VecDeque<Arc<Change>>,
    /// Every change after this revision is here.
    begins_after: u64,
}

impl History {
    /// Nothing, as of `revision`.
    pub(crate) fn empty(revision: u64) -> Self {
        Self { changes: VecDeque::new(), begins_after: revision }
    }

    /// `changes`, in commit order, which are all that came after `begins_after`.
    pub(crate) fn new(begins_after: u64, changes: VecDeque<Arc<Change>>) -> Self {
        Self { changes, begins_after }
    }

    pub(crate) fn since(&self, since: u64, latest: u64) -> Result<Vec<Arc<Change>>, HistoryGone> {
        if since < self.begins_after || since > latest {
            return Err(HistoryGone { oldest: self.begins_after, latest });
        }
        let first = self.changes.partition_point(|change| change.revision <= since);
        Ok(self.changes.range(first..).cloned().collect())
    }

    /// What is to be cut, from the oldest on, when `incoming` is added.
    pub(crate) fn expired(&self, retention: Retention, incoming: &[Arc<Change>]) -> Vec<Arc<Change>> {
        let Some(now_ms) = incoming.iter().map(|change| change.at_ms).max() else { return Vec::new() };
        let is_expired = |(position, change): &(usize, &Arc<Change>)| {
            let kept = self.changes.len() + incoming.len() - position;
            let is_old = change.at_ms.saturating_add(retention.max_age_ms) < now_ms;
            kept > retention.min_rows && (kept > retention.max_rows || is_old)
        };
        let step = incoming.len() + CUT_ROWS;
        self.changes
            .iter()
            .enumerate()
            .take(step)
            .take_while(is_expired)
            .map(|(_, change)| change.clone())
            .collect()
    }

    /// Cuts as many as [`History::expired`] said, and adds.
    pub(crate) fn advance(&mut self, expired: usize, incoming: Vec<Arc<Change>>) {
        if let Some(last) = self.changes.drain(..expired).next_back() {
            self.begins_after = last.revision;
        }
        self.changes.extend(incoming);
    }
}

/// A tombstone stands as long as the change that set it.
pub(crate) fn forget_tombstones(present: &mut Present, expired: &[Arc<Change>]) {
    for change in expired.iter().filter(|change| change.spec.is_none()) {
        if present.deleted(&change.key) == Some(change.revision) {
            present.tombstones.remove_mut(&change.key);
        }
    }
}
