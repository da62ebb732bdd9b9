//! A store that lasts as long as its process: for tests and try-outs, and the reference for the others.

use std::sync::{Arc, Mutex, PoisonError};

use model::{DataplaneInsight, Key};
use tokio::sync::watch;

use crate::{
    BoxFuture, Change, Committed, HistoryGone, Present, Retention, Revision, Sealed, Store, StoreError,
    TokenChange, TokensChanged, Transaction,
    apply::{self, Effects, SecretKey, State},
    apply_tokens,
    history::History,
    published::Published,
};

pub struct MemoryStore {
    published: Published,
    /// Held from reading the state to publishing the next.
    writer: Mutex<()>,
}

impl MemoryStore {
    /// Empty, at revision 0. `epoch` should be random (it is an argument so that tests can be exact).
    pub fn new(epoch: u32) -> Self {
        Self::with_retention(epoch, Retention::default())
    }

    pub fn with_retention(epoch: u32, retention: Retention) -> Self {
        let state = State::empty(Revision { epoch, number: 0 });
        Self { published: Published::new(state, History::empty(0), retention), writer: Mutex::new(()) }
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&mut State, &mut Effects) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _only = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut state, mut effects) = (self.published.state(), Effects::default());
        let answer = work(&mut state, &mut effects)?;
        if !effects.is_empty() {
            self.published.publish(self.published.prepare(state, effects));
        }
        Ok(answer)
    }
}

impl Store for MemoryStore {
    fn present(&self) -> Arc<Present> {
        self.published.present()
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Committed, StoreError>> {
        apply::assert_well_formed(&transaction);
        Box::pin(async move { self.write(|state, effects| apply::transact(state, effects, &transaction)) })
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
        Box::pin(async move {
            self.write(|state, effects| apply::put_secret_if_absent(state, effects, key, sealed.into()))
        })
    }

    fn replace_secret(
        &self,
        scope: &str,
        name: &str,
        before: Sealed,
        after: Vec<u8>,
    ) -> BoxFuture<'_, Result<Option<Revision>, StoreError>> {
        let key = SecretKey { scope: scope.into(), name: name.into() };
        Box::pin(async move {
            self.write(|state, effects| Ok(apply::replace_secret(state, effects, key, &before, after.into())))
        })
    }

    fn change_tokens(
        &self,
        change: TokenChange,
        ended_before: u64,
    ) -> BoxFuture<'_, Result<TokensChanged, StoreError>> {
        Box::pin(async move {
            self.write(|state, effects| Ok(apply_tokens::change_tokens(state, effects, change, ended_before)))
        })
    }

    fn put_first_token_key(&self, kid: &str, sealed: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>> {
        let kid = kid.to_owned();
        Box::pin(async move {
            self.write(|state, effects| {
                apply_tokens::put_first_token_key(state, effects, kid, sealed);
                Ok(())
            })
        })
    }

    fn put_insights(&self, insights: Vec<(Key, DataplaneInsight)>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.write(|state, effects| {
                apply::put_insights(state, effects, insights);
                Ok(())
            })
        })
    }

    fn reads(&self) -> u64 {
        0
    }
}
