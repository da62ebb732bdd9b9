//! What a new process makes of what an old one has left.

use std::sync::Arc;

use store::{MemoryStore, Store};
use xds::ResourceType;

use crate::world::{World, dataplane, mesh, next};

#[tokio::test]
async fn the_same_store_gives_the_same_versions_after_a_restart() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(1));
    let first = World::new(store.clone());
    first.put([mesh(), dataplane("web", "web", 1, &["api"]), dataplane("api", "api", 2, &[])]).await;
    let before = next(&mut first.connect("web")).await;
    let second = World::new(store);
    let after = next(&mut second.connect("web")).await;
    for resource_type in ResourceType::ALL {
        assert!(before.differences(&after, resource_type).is_empty(), "{resource_type:?}");
    }
}

#[tokio::test]
async fn subscriptions_that_a_killed_process_has_left_open_are_closed() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(1));
    let killed = World::new(store.clone());
    let (key, json) = dataplane("web", "web", 1, &[]);
    killed.put([mesh(), (key.clone(), json)]).await;
    let mut web = killed.connect("web");
    next(&mut web).await;
    killed.recorder.flush().await;
    assert!(store.present().insight(&key).unwrap().is_online());
    std::mem::forget(web); // Killed: nothing closes it.

    let successor = World::new(store.clone());
    successor.recorder.close_left_open().await;
    let insight = store.present().insight(&key).cloned().unwrap();
    assert!(!insight.is_online() && insight.subscriptions().len() == 1);
}
