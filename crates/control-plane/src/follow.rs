//! The only writer of the world: woken by the store's revision, it takes what changed since the last one and publishes.
//!
//! The first change is taken at once; what arrives meanwhile is taken together with the next. No timer, and never a list
//! of everything, except when history no longer reaches back to what was last seen.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use model::Kind;
use plan::{Change, World};
use store::{Present, Store};
use tracing::{debug, warn};

use crate::{
    record::Recorder,
    registry::{Published, Registry},
};

/// The world as the store has it now: the start, before anybody is served.
pub fn whole_world(present: &Present) -> World {
    let there =
        present.iter().map(|(key, entry)| Change { key: key.clone(), spec: Some(entry.spec.clone()) });
    let deleted = present.tombstones().map(|key| Change { key: key.clone(), spec: None });
    World::default().apply(deleted.chain(there)).0
}

/// Keeps `registry` at the store's latest revision. Returns when the store is gone.
pub async fn follow(store: Arc<dyn Store>, registry: Arc<Registry>, recorder: Arc<Recorder>) {
    let mut revisions = store.revisions();
    let mut deletions = 0;
    loop {
        // Before the changes are asked for, so that they are at least all up to this number.
        let heard = *revisions.borrow_and_update();
        deletions += take(&*store, heard, &registry, &recorder);
        if deletions >= DELETIONS_KEPT {
            deletions = 0;
            forget_deleted(&store.present(), &registry);
        }
        if revisions.changed().await.is_err() {
            return;
        }
    }
}

/// After so many deletions the world forgets those that the store has forgotten: rarely enough to look at all of it.
const DELETIONS_KEPT: usize = 10_000;

/// With history goes the memory of what was deleted, as after a restart.
fn forget_deleted(present: &Present, registry: &Registry) {
    let published = registry.published();
    let world = published.world.forget_deleted(|key| present.deleted(key).is_some());
    registry.publish(Published { world, ..published }, &BTreeSet::new());
}

/// How many of the changes were deletions.
fn take(store: &dyn Store, heard: u64, registry: &Registry, recorder: &Recorder) -> usize {
    let at = Instant::now();
    let before = registry.published();
    match store.changes(before.revision) {
        Ok(changes) => {
            // A change of the tokens has a revision, but is no change of the world.
            let revision = changes.last().map_or(heard, |change| change.revision.max(heard));
            if revision == before.revision {
                return 0;
            }
            let next = changes.iter().map(|it| Change { key: it.key.clone(), spec: it.spec.clone() });
            let (world, parts) = before.world.apply(next);
            debug!(revision, parts = parts.len(), "the world is at a new revision");
            registry.publish(Published { revision, world, at }, &parts);
            // One that was deleted and made again before anybody looked has lost its insight, not its proxy.
            for change in changes.iter().filter(|change| change.key.kind == Kind::Dataplane) {
                recorder.write_again(&change.key);
            }
            changes.iter().filter(|change| change.spec.is_none()).count()
        }
        Err(gone) => {
            warn!(
                revision = before.revision,
                oldest = gone.oldest,
                "history was pruned meanwhile; reading everything"
            );
            let present = store.present();
            let revision = present.revision().number;
            registry.publish_all(Published { revision, world: whole_world(&present), at });
            0
        }
    }
}
