//! Insights outlive a failing disk and a Dataplane that is made anew.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use control_plane::record::KEPT_SUBSCRIPTIONS;
use model::{DataplaneInsight, Key};
use store::{
    BoxFuture, Change, Committed, HistoryGone, MemoryStore, Present, Revision, Sealed, Store, StoreError,
    TokenChange, TokensChanged, Transaction, Write,
};
use tokio::sync::watch;

use crate::world::{World, dataplane, mesh, next};

/// A memory store whose insights cannot be written while `broken` is set.
struct Failing {
    inner: MemoryStore,
    broken: AtomicBool,
}

impl Store for Failing {
    fn present(&self) -> Arc<Present> {
        self.inner.present()
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Committed, StoreError>> {
        self.inner.commit(transaction)
    }

    fn changes(&self, since: u64) -> Result<Vec<Arc<Change>>, HistoryGone> {
        self.inner.changes(since)
    }

    fn revisions(&self) -> watch::Receiver<u64> {
        self.inner.revisions()
    }

    fn secret(&self, scope: &str, name: &str) -> Option<Sealed> {
        self.inner.secret(scope, name)
    }

    fn secrets(&self, scope: &str) -> Vec<(Arc<str>, Sealed)> {
        self.inner.secrets(scope)
    }

    fn put_secret_if_absent(
        &self,
        scope: &str,
        name: &str,
        sealed: Vec<u8>,
    ) -> BoxFuture<'_, Result<Sealed, StoreError>> {
        self.inner.put_secret_if_absent(scope, name, sealed)
    }

    fn replace_secret(
        &self,
        scope: &str,
        name: &str,
        before: Sealed,
        after: Vec<u8>,
    ) -> BoxFuture<'_, Result<Option<Revision>, StoreError>> {
        self.inner.replace_secret(scope, name, before, after)
    }

    fn change_tokens(
        &self,
        change: TokenChange,
        ended_before: u64,
    ) -> BoxFuture<'_, Result<TokensChanged, StoreError>> {
        self.inner.change_tokens(change, ended_before)
    }

    fn put_first_token_key(&self, kid: &str, sealed: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.put_first_token_key(kid, sealed)
    }

    fn put_insights(&self, insights: Vec<(Key, DataplaneInsight)>) -> BoxFuture<'_, Result<(), StoreError>> {
        if self.broken.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::Unavailable("the disk is full".to_owned())) });
        }
        self.inner.put_insights(insights)
    }

    fn reads(&self) -> u64 {
        self.inner.reads()
    }
}

#[tokio::test]
async fn what_a_failing_store_did_not_take_is_written_once_it_does() {
    let store = Arc::new(Failing { inner: MemoryStore::new(1), broken: AtomicBool::new(true) });
    let world = World::new(store.clone());
    let (key, json) = dataplane("web", "web", 1, &[]);
    world.put([mesh(), (key.clone(), json)]).await;
    // More streams than are kept: what waits for the store is bounded too.
    for _ in 0..50 {
        drop(world.connect("web"));
    }
    let mut web = world.connect("web");
    next(&mut web).await;
    world.recorder.flush().await;
    assert!(store.present().insight(&key).is_none());

    store.broken.store(false, Ordering::SeqCst);
    world.recorder.flush().await;
    let insight = store.present().insight(&key).cloned().unwrap();
    assert!(insight.is_online() && insight.subscriptions().len() <= 11, "{insight:?}");

    drop(web);
    world.recorder.flush().await;
    assert!(!store.present().insight(&key).unwrap().is_online());
}

/// Where a proxy flaps faster than its status is written, only the newest of what has ended waits for the store; but the
/// end of a stream that the store has as open is no excess.
#[tokio::test]
async fn a_stream_that_was_written_as_open_is_written_as_ended_however_many_follow_it() {
    let world = World::with_memory();
    let (key, json) = dataplane("web", "web", 1, &[]);
    world.put([mesh(), (key.clone(), json)]).await;
    for _ in 0..3 {
        let open = world.connect("web");
        world.recorder.flush().await;
        assert!(world.store.present().insight(&key).unwrap().is_online());
        drop(open);
        for _ in 0..50 {
            drop(world.connect("web"));
        }
        world.recorder.flush().await;
        let insight = world.store.present().insight(&key).cloned().unwrap();
        assert!(!insight.is_online(), "nothing is connected: {insight:?}");
        assert_eq!(insight.subscriptions().len(), KEPT_SUBSCRIPTIONS);
    }
}

#[tokio::test]
async fn a_dataplane_deleted_and_made_again_at_once_keeps_its_proxy_s_insight() {
    let world = World::with_memory();
    let (key, json) = dataplane("web", "web", 1, &[]);
    world.put([mesh(), (key.clone(), json.clone())]).await;
    let mut web = world.connect("web");
    next(&mut web).await;
    world.recorder.flush().await;

    let spec = key.kind.read_spec(&mut serde_json::Deserializer::from_str(&json)).unwrap();
    for write in [Write::Delete(key.clone()), Write::Put(key.clone(), Arc::new(spec))] {
        let transaction = Transaction { writes: vec![write], ..Transaction::default() };
        world.store.commit(transaction).await.unwrap();
    }
    assert!(world.store.present().insight(&key).is_none());
    world.settle().await;
    world.recorder.flush().await;
    assert!(world.store.present().insight(&key).unwrap().is_online());
}
