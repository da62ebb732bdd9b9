//! Everything that plans are made from, cut into parts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Key, Spec};
use rpds::RedBlackTreeMapSync;

use crate::{
    Part,
    mesh_view::{Entity, LastChanges, MeshView},
};

/// One entity as it is from now on. `None` is an explicit delete (a tombstone), not "not known".
///
/// The spec is of its key's kind. A Mesh that is deleted comes with a change for each entity that was in it.
#[derive(Clone, Debug)]
pub struct Change {
    pub key: Key,
    pub spec: Option<Arc<Spec>>,
}

/// An immutable value: cheap to clone, and the next world shares all that did not change.
///
/// It remembers, by name alone, every Mesh and Dataplane that was deleted and not made again: some 100 bytes each, so that
/// a proxy which was away learns of it, until it is told to [forget](World::forget_deleted) them.
#[derive(Clone, Debug)]
pub struct World {
    meshes: RedBlackTreeMapSync<Arc<str>, MeshView>,
}

impl Default for World {
    fn default() -> Self {
        Self { meshes: RedBlackTreeMapSync::new_sync() }
    }
}

impl World {
    /// The world after these changes, and the parts whose content is different in it. Work is proportional to the
    /// changes and to the parts that they touch, never to the world.
    ///
    /// Of several changes to one entity the last counts, and what they leave as it was is not among the parts.
    #[must_use]
    pub fn apply(&self, changes: impl IntoIterator<Item = Change>) -> (Self, BTreeSet<Part>) {
        let mut next = self.clone();
        let mut parts = BTreeSet::new();
        for (mesh, changes) in by_mesh(changes) {
            let mut view = next.meshes.get(&mesh).cloned().unwrap_or_else(|| MeshView::new(mesh.clone()));
            parts.extend(view.apply(changes));
            next.meshes.insert_mut(mesh, view);
        }
        (next, parts)
    }

    /// Forgets what was deleted, but for what `is_remembered` says of a Mesh's or a Dataplane's key. Nobody has to be told:
    /// what a proxy was told of a deletion it was told. Looks at the whole world.
    #[must_use]
    pub fn forget_deleted(&self, is_remembered: impl Fn(&Key) -> bool) -> Self {
        let mut next = Self::default();
        for (mesh, view) in &self.meshes {
            let mut view = view.clone();
            view.forget_deleted(&is_remembered);
            if !view.is_empty() {
                next.meshes.insert_mut(mesh.clone(), view);
            }
        }
        next
    }

    /// Whether there is, or was until somebody deleted it, a mesh of that name: then its proxies are to be told something.
    pub fn knows_mesh(&self, name: &str) -> bool {
        self.mesh(name).is_some_and(|view| !matches!(view.settings(), Entity::Unknown))
    }

    pub(crate) fn mesh(&self, name: &str) -> Option<&MeshView> {
        self.meshes.get(name)
    }
}

fn by_mesh(changes: impl IntoIterator<Item = Change>) -> BTreeMap<Arc<str>, LastChanges> {
    let mut meshes: BTreeMap<Arc<str>, LastChanges> = BTreeMap::new();
    for Change { key, spec } in changes {
        meshes.entry(key.mesh.clone()).or_default().insert(key, spec);
    }
    meshes
}
