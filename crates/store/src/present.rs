//! Everything the store holds, as an immutable value: readers keep theirs, the next one shares what did not change.

use std::sync::Arc;

use bytes::Bytes;
use model::{DataplaneInsight, Key, Kind, Spec};
use rpds::RedBlackTreeMapSync;

use crate::Revision;

/// One stored entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Of its last change.
    pub revision: Revision,
    pub created_ms: u64,
    pub modified_ms: u64,
    pub spec: Arc<Spec>,
    /// The entity as GET answers it: canonical JSON with `type`, `name` and `mesh`. Encoded once a change.
    pub json: Bytes,
}

/// The store as of one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Present {
    pub(crate) revision: Revision,
    pub(crate) resources: RedBlackTreeMapSync<Key, Arc<Entry>>,
    /// By the Dataplane's key.
    pub(crate) insights: RedBlackTreeMapSync<Key, Arc<DataplaneInsight>>,
    /// What was deleted, and at which revision, as far back as history reaches; gone again once it is re-created.
    pub(crate) tombstones: RedBlackTreeMapSync<Key, u64>,
}

impl Present {
    pub(crate) fn empty(revision: Revision) -> Self {
        Self {
            revision,
            resources: RedBlackTreeMapSync::new_sync(),
            insights: RedBlackTreeMapSync::new_sync(),
            tombstones: RedBlackTreeMapSync::new_sync(),
        }
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<Entry>> {
        self.resources.get(key)
    }

    /// All of a kind in a mesh, by name.
    pub fn list<'a>(&'a self, kind: Kind, mesh: &'a str) -> impl Iterator<Item = (&'a Key, &'a Arc<Entry>)> {
        let first = Key { kind, mesh: mesh.into(), name: "".into() };
        self.resources.range(first..).take_while(move |(key, _)| key.kind == kind && &*key.mesh == mesh)
    }

    /// All of a kind, by mesh and name.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Arc<Entry>)> {
        let first = Key { kind, mesh: "".into(), name: "".into() };
        self.resources.range(first..).take_while(move |(key, _)| key.kind == kind)
    }

    /// Everything, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<Entry>)> {
        self.resources.iter()
    }

    /// What is known of the proxy of this Dataplane.
    pub fn insight(&self, dataplane: &Key) -> Option<&Arc<DataplaneInsight>> {
        self.insights.get(dataplane)
    }

    /// All insights, by the Dataplane's key.
    pub fn insights(&self) -> impl Iterator<Item = (&Key, &Arc<DataplaneInsight>)> {
        self.insights.iter()
    }

    /// The revision at which it was deleted, if it was, is not there again, and history still knows.
    pub fn deleted(&self, key: &Key) -> Option<u64> {
        self.tombstones.get(key).copied()
    }

    /// Every tombstone that history still knows, by key.
    pub fn tombstones(&self) -> impl Iterator<Item = &Key> {
        self.tombstones.keys()
    }
}
