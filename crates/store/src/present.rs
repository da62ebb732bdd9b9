//! Everything the store holds, as an immutable value: readers keep theirs, the next one shares what did not change.

use std::sync::Arc;

use bytes::Bytes;
use model::{DataplaneInsight, Key, Kind, Spec, Tags};
use rpds::RedBlackTreeMapSync;

use crate::{Revision, Tokens, tag_index::TagIndex};

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
    pub(crate) tokens: Arc<Tokens>,
    tags: TagIndex,
}

impl Present {
    pub(crate) fn empty(revision: Revision) -> Self {
        Self {
            revision,
            resources: RedBlackTreeMapSync::new_sync(),
            insights: RedBlackTreeMapSync::new_sync(),
            tombstones: RedBlackTreeMapSync::new_sync(),
            tokens: Arc::default(),
            tags: TagIndex::default(),
        }
    }

    pub(crate) fn insert(&mut self, key: Key, entry: Entry) {
        let before = self.resources.get(&key).map(|before| &*before.spec);
        self.tags.replace(&key, before, Some(&entry.spec));
        self.resources.insert_mut(key, Arc::new(entry));
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        if let Some(before) = self.resources.get(key) {
            self.tags.replace(key, Some(&before.spec), None);
            self.resources.remove_mut(key);
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

    /// Those of a kind, and of a mesh if one is given, that have all of the tags in one of their sets of tags
    /// ([`Spec::tag_sets`]), by mesh and name. All of them when no tag is wanted; else only those are looked at that have
    /// one of the tags.
    pub fn tagged<'a>(
        &'a self,
        kind: Kind,
        mesh: Option<&'a str>,
        wanted: &Tags,
    ) -> Vec<(&'a Key, &'a Arc<Entry>)> {
        if wanted.is_empty() {
            return match mesh {
                Some(mesh) => self.list(kind, mesh).collect(),
                None => self.all(kind).collect(),
            };
        }
        let meshes: Vec<&str> = match mesh {
            Some(mesh) => vec![mesh],
            None => self.tags.meshes(kind).map(|mesh| &**mesh).collect(),
        };
        let in_mesh = |mesh| {
            let mut found: Vec<_> = self.with_tags(kind, mesh, wanted).collect();
            found.sort_by_key(|(key, _)| *key);
            found.dedup_by_key(|(key, _)| *key);
            found
        };
        meshes.into_iter().flat_map(in_mesh).collect()
    }

    /// Whether [`Present::tagged`] would find any.
    pub fn any_tagged(&self, kind: Kind, mesh: &str, wanted: &Tags) -> bool {
        if wanted.is_empty() {
            return self.list(kind, mesh).next().is_some();
        }
        self.with_tags(kind, mesh, wanted).next().is_some()
    }

    fn with_tags<'a>(
        &'a self,
        kind: Kind,
        mesh: &'a str,
        wanted: &Tags,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Entry>)> {
        let candidates = self.tags.candidates(kind, mesh, wanted).into_iter().flatten();
        let wanted = wanted.clone();
        let has_all =
            move |spec: &Spec| spec.tag_sets().into_iter().any(|tags| model::matches(&wanted, tags));
        let found = candidates.filter_map(|key| self.resources.get_key_value(&key));
        found.filter(move |(_, entry)| has_all(&entry.spec))
    }

    /// Everything from a key on, by key.
    pub fn from(&self, key: Key) -> impl Iterator<Item = (&Key, &Arc<Entry>)> {
        self.resources.range(key..)
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

    /// Which tokens hold. The same `Arc` as long as nothing about them changes.
    pub fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }
}
