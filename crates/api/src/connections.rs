//! Who has a connection, and who gives one up when there are too many.
//!
//! A connection that rests costs little and is worth keeping, until another client needs its place: then the one that has
//! rested longest ends. So thousands of forgotten connections keep nobody out, whether a program leaks them or someone
//! means harm. One that has a request under way is never ended for another.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// All connections of one listener.
pub(crate) struct Connections {
    per_peer: usize,
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

/// One connection, until it is dropped.
pub(crate) struct Connection {
    all: Arc<Connections>,
    id: u64,
    ends: Arc<Notify>,
    /// Under way, also once it does not count among all any more.
    requests: AtomicUsize,
    has_served: AtomicBool,
    _place: OwnedSemaphorePermit,
}

/// A request under way on a connection, until it is dropped.
pub(crate) struct Request(Arc<Connection>);

#[derive(Default)]
struct State {
    connections: BTreeMap<u64, Activity>,
    /// How many each address has.
    peers: BTreeMap<IpAddr, usize>,
    /// The ids of those at rest, by when they came to rest.
    resting: BTreeMap<u64, u64>,
    /// Counts connections, and their comings to rest.
    clock: u64,
    /// Somebody waits for a place, so that the next connection that comes to rest ends.
    awaited: bool,
}

struct Activity {
    peer: IpAddr,
    requests: usize,
    resting_since: Option<u64>,
    ends: Arc<Notify>,
}

impl Connections {
    pub(crate) fn new(most: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self { per_peer, places: Arc::new(Semaphore::new(most)), state: Mutex::default() })
    }

    /// Waits for a place. A peer that has its share takes from that; else, when all places are taken, the connection of any
    /// peer that has rested longest makes room. `None` when the peer has its share and all of that is at work.
    pub(crate) async fn admit(self: Arc<Self>, peer: IpAddr) -> Option<Arc<Connection>> {
        {
            let mut state = self.state();
            if state.peers.get(&peer).is_some_and(|count| *count >= self.per_peer) {
                if !state.end_longest_at_rest(Some(peer)) {
                    return None;
                }
            } else if self.places.available_permits() == 0 {
                state.awaited = !state.end_longest_at_rest(None);
            }
        }
        let place = self.places.clone().acquire_owned().await.expect("the places are never closed");
        let ends = Arc::new(Notify::new());
        let id = {
            let mut state = self.state();
            state.awaited = false;
            state.add(peer, ends.clone())
        };
        let (requests, has_served) = (AtomicUsize::new(0), AtomicBool::new(false));
        Some(Arc::new(Connection { all: self, id, ends, requests, has_served, _place: place }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    pub(crate) fn request(self: &Arc<Self>) -> Request {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.has_served.store(true, Ordering::Relaxed);
        self.all.state().begin(self.id);
        Request(self.clone())
    }

    /// Whether no request is under way on it.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0
    }

    /// Whether a request has ever begun on it.
    pub(crate) fn has_served(&self) -> bool {
        self.has_served.load(Ordering::Relaxed)
    }

    /// Once the connection has to make room.
    pub(crate) async fn ended(&self) {
        self.ends.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.state().remove(self.id);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
        self.0.all.state().finish(self.0.id);
    }
}

impl State {
    fn add(&mut self, peer: IpAddr, ends: Arc<Notify>) -> u64 {
        let id = self.tick();
        *self.peers.entry(peer).or_default() += 1;
        self.connections.insert(id, Activity { peer, requests: 0, resting_since: None, ends });
        self.rest(id);
        id
    }

    /// What was ended is not here any more, and what happens on it until it has noticed does not matter.
    fn remove(&mut self, id: u64) -> Option<Activity> {
        let activity = self.connections.remove(&id)?;
        if let Some(since) = activity.resting_since {
            self.resting.remove(&since);
        }
        if let Some(count) = self.peers.get_mut(&activity.peer) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&activity.peer);
            }
        }
        Some(activity)
    }

    fn begin(&mut self, id: u64) {
        let Some(activity) = self.connections.get_mut(&id) else { return };
        activity.requests += 1;
        if let Some(since) = activity.resting_since.take() {
            self.resting.remove(&since);
        }
    }

    fn finish(&mut self, id: u64) {
        let Some(activity) = self.connections.get_mut(&id) else { return };
        activity.requests -= 1;
        if activity.requests == 0 {
            self.rest(id);
        }
    }

    fn rest(&mut self, id: u64) {
        let since = self.tick();
        let Some(activity) = self.connections.get_mut(&id) else { return };
        activity.resting_since = Some(since);
        self.resting.insert(since, id);
        if self.awaited {
            self.awaited = !self.end_longest_at_rest(None);
        }
    }

    /// Of all, or of one peer. `false` when none rests.
    fn end_longest_at_rest(&mut self, of: Option<IpAddr>) -> bool {
        let is_of = |id: &u64| {
            of.is_none_or(|peer| self.connections.get(id).is_some_and(|activity| activity.peer == peer))
        };
        let Some(longest) = self.resting.values().copied().find(is_of) else { return false };
        if let Some(activity) = self.remove(longest) {
            activity.ends.notify_one();
        }
        true
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

    async fn admit(all: &Arc<Connections>, peer: IpAddr) -> Option<Arc<Connection>> {
        all.clone().admit(peer).await
    }

    fn has_ended(connection: &Connection) -> bool {
        connection.ended().now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_one_that_has_rested_longest_makes_room() {
        let all = Connections::new(3, 3);
        let first = admit(&all, A).await.unwrap();
        let second = admit(&all, B).await.unwrap();
        let third = admit(&all, A).await.unwrap();
        // It has worked since, so that the second has rested longer.
        drop(first.request());
        let mut fourth = pin!(admit(&all, B));
        assert!(fourth.as_mut().now_or_never().is_none());
        assert!(has_ended(&second) && !has_ended(&first) && !has_ended(&third));
        drop(second);
        assert!(fourth.await.is_some());
    }

    #[tokio::test]
    async fn who_works_is_not_ended_but_the_next_to_rest_is() {
        let all = Connections::new(2, 2);
        let (first, second) = (admit(&all, A).await.unwrap(), admit(&all, A).await.unwrap());
        let (working, also_working) = (first.request(), second.request());
        let mut third = pin!(admit(&all, B));
        assert!(third.as_mut().now_or_never().is_none());
        assert!(!has_ended(&first) && !has_ended(&second));
        drop(also_working);
        assert!(has_ended(&second) && !has_ended(&first));
        drop(second);
        assert!(third.await.is_some());
        drop(working);
        assert!(!has_ended(&first), "nobody waits any more");
    }

    #[tokio::test]
    async fn a_peer_with_its_share_takes_nothing_from_others() {
        let all = Connections::new(2, 1);
        let (first, other) = (admit(&all, A).await.unwrap(), admit(&all, B).await.unwrap());
        let working = first.request();
        assert!(admit(&all, A).await.is_none());
        assert!(!has_ended(&other));
        drop(working);
        let mut second = pin!(admit(&all, A));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(has_ended(&first) && !has_ended(&other));
        drop(first);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn a_peer_takes_from_its_own_share() {
        let all = Connections::new(10, 1);
        let other = admit(&all, B).await.unwrap();
        let first = admit(&all, A).await.unwrap();
        let second = admit(&all, A).await.unwrap();
        assert!(has_ended(&first) && !has_ended(&other));
        let _working = second.request();
        assert!(admit(&all, A).await.is_none());
        assert!(!has_ended(&second));
        drop((first, second));
        assert_eq!(all.state().peers.get(&A), Some(&1), "it is under way");
    }
}
