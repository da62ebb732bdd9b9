//! The world as last published, and who is to be woken when a part of it changes.
//!
//! One writer ([`crate::follow`]) publishes; each stream registers for the parts that its last plan has read and sleeps.
//! Publishing wakes the streams of the changed parts and nobody else. A wake-up is a bit (`Notify` keeps one permit), so
//! nothing queues: a stream that is slow sees the latest world when it looks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use plan::{Part, World};
use tokio::sync::Notify;

/// The world as of one revision.
#[derive(Clone, Debug)]
pub struct Published {
    pub revision: u64,
    pub world: World,
    /// When the writer took it up: the start of the way to the last ACK.
    pub at: Instant,
}

#[derive(Debug)]
pub struct Registry {
    published: RwLock<Published>,
    streams: Mutex<Streams>,
}

#[derive(Debug, Default)]
struct Streams {
    next_id: u64,
    by_part: BTreeMap<Part, BTreeMap<u64, Arc<Notify>>>,
}

/// One stream's place in the registry. Dropping it takes the stream out.
#[derive(Debug)]
pub struct Registration {
    registry: Arc<Registry>,
    id: u64,
    /// The bit that says "look again".
    pub wake: Arc<Notify>,
    /// Sorted.
    parts: Vec<Part>,
}

impl Registry {
    pub fn new(world: World, revision: u64, at: Instant) -> Self {
        Self { published: RwLock::new(Published { revision, world, at }), streams: Mutex::default() }
    }

    pub fn published(&self) -> Published {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn revision(&self) -> u64 {
        self.published.read().unwrap_or_else(PoisonError::into_inner).revision
    }

    /// Replaces the world, then wakes the streams that read one of `changed`. In this order: who is woken finds the new
    /// world, and who registers meanwhile looks once more (see [`Registration::replace_parts`]).
    pub fn publish(&self, next: Published, changed: &BTreeSet<Part>) {
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = next;
        let streams = self.streams();
        let woken: BTreeMap<_, _> =
            changed.iter().filter_map(|part| streams.by_part.get(part)).flatten().collect();
        for wake in woken.into_values() {
            wake.notify_one();
        }
    }

    /// Replaces the world where it is not known what changed, and wakes every stream.
    pub fn publish_all(&self, next: Published) {
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = next;
        for wake in self.streams().by_part.values().flat_map(BTreeMap::values) {
            wake.notify_one();
        }
    }

    /// Wakes the streams that read this part, although the world is as it was: what else they look at has changed.
    pub fn wake(&self, part: &Part) {
        for wake in self.streams().by_part.get(part).into_iter().flat_map(BTreeMap::values) {
            wake.notify_one();
        }
    }

    pub fn register(self: &Arc<Self>) -> Registration {
        let mut streams = self.streams();
        streams.next_id += 1;
        let id = streams.next_id;
        drop(streams);
        Registration { registry: self.clone(), id, wake: Arc::default(), parts: Vec::new() }
    }

    /// How many streams are registered for a part.
    pub fn readers(&self, part: &Part) -> usize {
        self.streams().by_part.get(part).map_or(0, BTreeMap::len)
    }

    /// A panic elsewhere leaves the maps whole: every change to them is one insert or remove.
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// From now on the stream is woken for these parts (sorted) and no others. Whether any is new: then a change to it may
    /// have gone by unheard since the world was read, and the caller compares revisions once more.
    pub fn replace_parts(&mut self, parts: Vec<Part>) -> bool {
        if self.parts == parts {
            return false;
        }
        let mut streams = self.registry.streams();
        for gone in self.parts.iter().filter(|part| parts.binary_search(part).is_err()) {
            streams.remove(gone, self.id);
        }
        let mut any_new = false;
        for new in parts.iter().filter(|part| self.parts.binary_search(part).is_err()) {
            any_new = true;
            streams.by_part.entry(new.clone()).or_default().insert(self.id, self.wake.clone());
        }
        drop(streams);
        self.parts = parts;
        any_new
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut streams = self.registry.streams();
        for part in &self.parts {
            streams.remove(part, self.id);
        }
    }
}

impl Streams {
    fn remove(&mut self, part: &Part, id: u64) {
        if let Some(readers) = self.by_part.get_mut(part) {
            readers.remove(&id);
            if readers.is_empty() {
                self.by_part.remove(part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn part(name: &str) -> Part {
        Part::Mesh(name.into())
    }

    fn is_woken(registration: &Registration) -> bool {
        registration.wake.notified().now_or_never().is_some()
    }

    #[test]
    fn only_the_readers_of_a_changed_part_are_woken_and_once() {
        let registry = Arc::new(Registry::new(World::default(), 1, Instant::now()));
        let (mut a, mut both) = (registry.register(), registry.register());
        a.replace_parts(vec![part("a")]);
        both.replace_parts(vec![part("a"), part("b")]);

        let next = registry.published();
        registry.publish(next.clone(), &BTreeSet::from([part("b"), part("c")]));
        assert!(!is_woken(&a) && is_woken(&both));

        registry.publish(next.clone(), &BTreeSet::from([part("a"), part("b")]));
        assert!(is_woken(&a) && is_woken(&both) && !is_woken(&both));

        registry.wake(&part("b"));
        registry.wake(&part("c"));
        assert!(!is_woken(&a) && is_woken(&both) && registry.revision() == 1);
    }

    #[test]
    fn a_stream_that_reads_other_parts_or_ends_is_forgotten() {
        let registry = Arc::new(Registry::new(World::default(), 1, Instant::now()));
        let mut stream = registry.register();
        assert!(stream.replace_parts(vec![part("a"), part("b")]));
        assert!(!stream.replace_parts(vec![part("b")]), "nothing new is read");
        assert_eq!((registry.readers(&part("a")), registry.readers(&part("b"))), (0, 1));
        drop(stream);
        assert!(registry.streams().by_part.is_empty());
    }
}
