//! As many connections as there may be, and who makes room when there are no more.
//!
//! A connection holds a slot until it is closed. When all slots are taken, the connection that rests longest (it has no
//! stream: it has not begun its handshake, or never asked for anything, or its stream has ended) is closed for the one
//! that has come, if it has rested longer than a loaded client and a loaded network take to go on. So whoever only holds
//! connections open keeps nobody out, who is served is never closed, and a returning fleet does not push itself out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How long a connection that makes room may take to be gone: its task only has to be run once.
const EVICTION: Duration = Duration::from_secs(1);

pub(crate) struct Slots {
    /// How long a connection may rest although others need its place.
    undisturbed: Duration,
    most: u32,
    free: Arc<Semaphore>,
    resting: Mutex<Resting>,
}

/// By the number of the rest: the first rests longest.
#[derive(Default)]
struct Resting {
    next: u64,
    connections: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

/// A connection's slot, while it lives.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    _permit: OwnedSemaphorePermit,
}

/// A time in which its connection may be closed for another's sake.
pub(crate) struct Rest<'a> {
    slots: &'a Slots,
    number: u64,
    evicted: Arc<Notify>,
}

impl Slots {
    pub(crate) fn new(most: usize, undisturbed: Duration) -> Arc<Self> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        Arc::new(Self {
            undisturbed,
            most,
            free: Arc::new(Semaphore::new(most as usize)),
            resting: Mutex::default(),
        })
    }

    /// A slot, if need be that of another. `None` if every connection is busy, or has not rested long enough.
    pub(crate) async fn take(self: &Arc<Self>) -> Option<Slot> {
        let free = self.free.clone().try_acquire_owned().ok();
        let permit = if free.is_some() { free } else { self.make_room().await };
        Some(Slot { slots: self.clone(), _permit: permit? })
    }

    async fn make_room(&self) -> Option<OwnedSemaphorePermit> {
        self.oldest()?.notify_one();
        tokio::time::timeout(EVICTION, self.free.clone().acquire_owned()).await.ok()?.ok()
    }

    fn oldest(&self) -> Option<Arc<Notify>> {
        let mut resting = self.resting();
        let (_, (since, _)) = resting.connections.first_key_value()?;
        if since.elapsed() < self.undisturbed {
            return None;
        }
        resting.connections.pop_first().map(|(_, (_, evicted))| evicted)
    }

    /// Waits until every slot is free.
    pub(crate) async fn all_free(&self) {
        // The semaphore is never closed.
        drop(self.free.acquire_many(self.most).await);
    }

    /// A panic elsewhere leaves the map whole: every change to it is one insert or remove.
    fn resting(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    pub(crate) fn rest(&self) -> Rest<'_> {
        let mut resting = self.slots.resting();
        let number = resting.next;
        resting.next += 1;
        let evicted = Arc::<Notify>::default();
        resting.connections.insert(number, (Instant::now(), evicted.clone()));
        Rest { slots: &self.slots, number, evicted }
    }
}

impl Rest<'_> {
    /// Ready when the connection has to make room. Cancel safe.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        self.slots.resting().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_rests_longest_makes_room_and_who_is_busy_never() {
        let slots = Slots::new(2, Duration::ZERO);
        let (first, second) = (slots.take().await.unwrap(), slots.take().await.unwrap());
        drop(first.rest()); // It was busy again.
        let evicted = async move {
            second.rest().evicted().await;
        };
        let mut evicted = Box::pin(evicted);
        assert!(evicted.as_mut().now_or_never().is_none());
        let later = first.rest();

        let (third, ()) = tokio::join!(slots.take(), evicted);
        assert!(later.evicted().now_or_never().is_none());

        drop(later);
        assert!(slots.take().await.is_none(), "both are busy");
        drop((first, third));
        slots.all_free().await;
    }

    #[tokio::test]
    async fn who_has_only_just_begun_to_rest_makes_no_room() {
        let slots = Slots::new(1, Duration::from_mins(1));
        let only = slots.take().await.unwrap();
        let _just_now = only.rest();
        assert!(slots.take().await.is_none(), "it may be about to go on");
    }
}
