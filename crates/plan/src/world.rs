//! Everything that plans are made from, cut into parts.

use std::{collections::BTreeSet, sync::Arc};

use model::{Key, Spec};

use crate::Part;

/// One entity as it is from now on. `None` is an explicit delete (a tombstone), not "not known".
#[derive(Clone, Debug)]
pub struct Change {
    pub key: Key,
    pub spec: Option<Arc<Spec>>,
}

/// An immutable value: cheap to clone, and the next world shares all that did not change.
#[derive(Clone, Debug, Default)]
pub struct World {}

impl World {
    /// The world after these changes, and the parts whose content is different in it. Work is proportional to the
    /// changes and to the parts that they touch, never to the world.
    #[must_use]
    pub fn apply(&self, changes: impl IntoIterator<Item = Change>) -> (Self, BTreeSet<Part>) {
        let _ = changes;
        unimplemented!() // HELPER
    }
}
