//! What everybody may see: the state of the last commit, its history, and the bell that rings for the next one.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::watch;

use crate::{
    Change, HistoryGone, Present, Sealed,
    apply::{Effects, SecretKey, State},
    history::{self, History, Retention},
};

pub(crate) struct Published {
    /// Held for as long as it takes to copy a few pointers, or the answer to [`Published::changes`].
    current: RwLock<Current>,
    revision: watch::Sender<u64>,
    retention: Retention,
}

struct Current {
    state: State,
    /// A copy of `state.present` that readers share.
    present: Arc<Present>,
    history: History,
}

/// A state whose effects are about to be kept, and what its commit cuts off history.
pub(crate) struct Next {
    pub(crate) state: State,
    pub(crate) effects: Effects,
    /// The oldest of history, in order.
    pub(crate) expired: Vec<Arc<Change>>,
}

impl Published {
    pub(crate) fn new(state: State, history: History, retention: Retention) -> Self {
        let (revision, _) = watch::channel(state.present.revision.number);
        let present = Arc::new(state.present.clone());
        Self { current: RwLock::new(Current { state, present, history }), revision, retention }
    }

    pub(crate) fn present(&self) -> Arc<Present> {
        self.read().present.clone()
    }

    pub(crate) fn state(&self) -> State {
        self.read().state.clone()
    }

    pub(crate) fn changes(&self, since: u64) -> Result<Vec<Arc<Change>>, HistoryGone> {
        let current = self.read();
        current.history.since(since, current.present.revision.number)
    }

    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    pub(crate) fn secret(&self, scope: &str, name: &str) -> Option<Sealed> {
        let key = SecretKey { scope: scope.into(), name: name.into() };
        self.read().state.secrets.get(&key).cloned()
    }

    pub(crate) fn secrets(&self, scope: &str) -> Vec<(Arc<str>, Sealed)> {
        let current = self.read();
        current.state.secrets_of(scope).map(|(key, sealed)| (key.name.clone(), sealed.clone())).collect()
    }

    /// Decides what goes out of history as `effects` come in. Between this and [`Published::publish`] there is no
    /// other: a store has one writer.
    pub(crate) fn prepare(&self, mut state: State, effects: Effects) -> Next {
        let expired = self.read().history.expired(self.retention, &effects.changes);
        history::forget_tombstones(&mut state.present, &expired);
        Next { state, effects, expired }
    }

    /// The present and history first, then the bell: whoever wakes finds what it was woken for.
    pub(crate) fn publish(&self, next: Next) {
        let number = next.state.present.revision.number;
        let present = Arc::new(next.state.present.clone());
        {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            current.history.advance(next.expired.len(), next.effects.changes);
            current.present = present;
            current.state = next.state;
        }
        self.revision.send_if_modified(|latest| std::mem::replace(latest, number) != number);
    }

    /// A reader that panicked has changed nothing, and the writer's assignments cannot stop half-way.
    fn read(&self) -> RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }
}
