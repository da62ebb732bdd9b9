//! What proxies have answered, written into their Dataplanes' insights.
//!
//! The first change of a proxy is written at once, further ones at most once an interval, and only the latest; all that is
//! due goes in one batch. No view contains insights, so the river ends here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use model::{
    DataplaneInsight, DiscoveryStatus, DiscoverySubscription, Key, ProxyId, ServiceStats, Timestamp,
};
use store::Store;
use tokio::{sync::Notify, time::Instant};
use tracing::warn;
use xds::{Counts, ResourceType, SessionStatus};

/// How many of a Dataplane's subscriptions are kept, the newest. Kuma 0.3.0 kept all, for ever.
pub const KEPT_SUBSCRIPTIONS: usize = 10;

pub struct Recorder {
    store: Arc<dyn Store>,
    /// Of this process: a UUID v4.
    instance: String,
    interval: Duration,
    slots: Mutex<Slots>,
    due: Notify,
}

#[derive(Default)]
struct Slots {
    by_dataplane: BTreeMap<Key, Slot>,
    /// When each slot with something to write may do so.
    deadlines: BTreeSet<(Instant, Key)>,
}

/// One Dataplane's subscriptions of this process, by id.
struct Slot {
    /// The open ones, as last heard.
    open: BTreeMap<String, DiscoverySubscription>,
    /// What the store does not have yet. However long the store fails, at most [`KEPT_SUBSCRIPTIONS`] that have ended, and
    /// those that the store has as open.
    unwritten: BTreeMap<String, DiscoverySubscription>,
    /// What the store is being given: as good as there.
    being_written: BTreeSet<String>,
    /// When the next write may be.
    not_before: Instant,
}

/// One stream's entry in its Dataplane's insight. Dropping it ends the subscription.
pub struct Subscription {
    recorder: Arc<Recorder>,
    dataplane: Key,
    latest: DiscoverySubscription,
}

impl Recorder {
    pub fn new(store: Arc<dyn Store>, instance: String, interval: Duration) -> Self {
        Self { store, instance, interval, slots: Mutex::default(), due: Notify::new() }
    }

    pub fn open(self: &Arc<Self>, proxy: &ProxyId) -> Subscription {
        let latest = DiscoverySubscription {
            id: uuid::Uuid::new_v4().to_string(),
            control_plane_instance_id: self.instance.clone(),
            connect_time: Some(SystemTime::now().into()),
            disconnect_time: None,
            status: Some(discovery_status(&SessionStatus::default())),
        };
        let subscription = Subscription { recorder: self.clone(), dataplane: proxy.dataplane(), latest };
        subscription.publish();
        subscription
    }

    /// Writes what is due, until it is dropped.
    pub async fn run(&self) {
        loop {
            let next = self.slots().deadlines.first().map(|(at, _)| *at);
            let due = self.due.notified();
            match next {
                None => due.await,
                Some(at) if at > Instant::now() => {
                    tokio::select! { () = due => {}, () = tokio::time::sleep_until(at) => {} }
                }
                Some(_) => drop(self.write(Instant::now()).await),
            }
        }
    }

    /// Writes everything that has not been written: the last act of a stopping control plane.
    pub async fn flush(&self) {
        while !self.slots().deadlines.is_empty() {
            let everything = Instant::now() + 2 * self.interval + Duration::from_secs(1);
            if !self.write(everything).await {
                return;
            }
        }
    }

    /// Ends the subscriptions that a process before this one has left open when it was killed: only one works on a store
    /// at a time, so none of them can be alive.
    pub async fn close_left_open(&self) {
        let now = Timestamp::from(SystemTime::now());
        let mut closed = Vec::new();
        for (dataplane, insight) in self.store.present().insights().filter(|(_, insight)| insight.is_online())
        {
            let mut insight = DataplaneInsight::clone(insight);
            for open in insight.subscriptions.iter_mut().flatten().filter(|it| it.is_open()) {
                open.disconnect_time = Some(now);
            }
            closed.push((dataplane.clone(), insight));
        }
        if let Err(error) = self.store.put_insights(closed).await {
            warn!(%error, "the subscriptions of the last run could not be closed");
        }
    }

    /// Writes a Dataplane's open subscriptions, if it has any, although nothing was heard of them.
    pub fn write_again(&self, dataplane: &Key) {
        let mut slots = self.slots();
        let Some(slot) = slots.by_dataplane.get_mut(dataplane).filter(|slot| !slot.open.is_empty()) else {
            return;
        };
        for (id, open) in &slot.open {
            slot.unwritten.entry(id.clone()).or_insert_with(|| open.clone());
        }
        let deadline = (slot.not_before, dataplane.clone());
        slots.deadlines.insert(deadline);
        drop(slots);
        self.due.notify_one();
    }

    fn update(&self, dataplane: &Key, subscription: DiscoverySubscription) {
        let mut slots = self.slots();
        let slot = slots.by_dataplane.entry(dataplane.clone()).or_insert_with(Slot::new);
        let id = subscription.id.clone();
        if subscription.is_open() {
            slot.open.insert(id.clone(), subscription.clone());
        } else {
            slot.open.remove(&id);
        }
        slot.unwritten.insert(id, subscription);
        if slot.unwritten.len() > KEPT_SUBSCRIPTIONS {
            slot.forget_excess(self.store.present().insight(dataplane).map(|known| &**known));
        }
        let deadline = (slot.not_before, dataplane.clone());
        if slots.deadlines.insert(deadline) {
            drop(slots);
            self.due.notify_one();
        }
    }

    /// Whether the store took it. What it did not take stays due, an interval later.
    async fn write(&self, now: Instant) -> bool {
        let taken = self.take_due(now);
        let present = self.store.present();
        let insights = taken
            .iter()
            .map(|(dataplane, unwritten)| {
                let known = present.insight(dataplane).map(|known| DataplaneInsight::clone(known));
                (dataplane.clone(), merge(known.unwrap_or_default(), unwritten))
            })
            .collect();
        let written = self.store.put_insights(insights).await;
        self.end_writing(&taken);
        let Err(error) = written else {
            self.forget_idle(now);
            return true;
        };
        warn!(%error, "insights could not be written; trying again");
        for (dataplane, unwritten) in taken {
            for older in unwritten.into_values() {
                self.put_back(&dataplane, older);
            }
        }
        false
    }

    fn take_due(&self, now: Instant) -> Vec<(Key, BTreeMap<String, DiscoverySubscription>)> {
        let mut slots = self.slots();
        let mut taken = Vec::new();
        while slots.deadlines.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, dataplane)) = slots.deadlines.pop_first() else { break };
            if let Some(slot) = slots.by_dataplane.get_mut(&dataplane) {
                slot.not_before = Instant::now() + self.interval;
                let unwritten = std::mem::take(&mut slot.unwritten);
                slot.being_written = unwritten.keys().cloned().collect();
                taken.push((dataplane, unwritten));
            }
        }
        taken
    }

    fn end_writing(&self, taken: &[(Key, BTreeMap<String, DiscoverySubscription>)]) {
        let mut slots = self.slots();
        for (dataplane, _) in taken {
            if let Some(slot) = slots.by_dataplane.get_mut(dataplane) {
                slot.being_written.clear();
            }
        }
    }

    /// After a failed write; what has been said since is newer and stays.
    fn put_back(&self, dataplane: &Key, older: DiscoverySubscription) {
        let mut slots = self.slots();
        let Some(slot) = slots.by_dataplane.get_mut(dataplane) else { return };
        slot.unwritten.entry(older.id.clone()).or_insert(older);
        let deadline = (slot.not_before, dataplane.clone());
        slots.deadlines.insert(deadline);
    }

    /// Slots of Dataplanes whose proxies have gone an interval ago hold nothing.
    fn forget_idle(&self, now: Instant) {
        let holds =
            |slot: &Slot| !slot.open.is_empty() || !slot.unwritten.is_empty() || slot.not_before > now;
        self.slots().by_dataplane.retain(|_, slot| holds(slot));
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            open: BTreeMap::new(),
            unwritten: BTreeMap::new(),
            being_written: BTreeSet::new(),
            not_before: Instant::now(),
        }
    }

    /// The oldest of what has ended. But the end of what the store has as open is told, or it would stay open for ever.
    fn forget_excess(&mut self, stored: Option<&DataplaneInsight>) {
        let is_stored_open = |id: &str| {
            let mut stored = stored.into_iter().flat_map(DataplaneInsight::subscriptions);
            stored.any(|it| it.id == id && it.is_open())
        };
        let is_told = |id: &str| self.being_written.contains(id) || is_stored_open(id);
        while self.unwritten.len() > KEPT_SUBSCRIPTIONS {
            let ended = self.unwritten.values().filter(|it| !it.is_open() && !is_told(&it.id));
            let Some(oldest) = ended.min_by_key(|it| it.connect_time).map(|it| it.id.clone()) else { return };
            self.unwritten.remove(&oldest);
        }
    }
}

impl Subscription {
    /// A UUID v4.
    pub fn id(&self) -> &str {
        &self.latest.id
    }

    pub fn connected_at(&self) -> Timestamp {
        self.latest.connect_time.unwrap_or_default()
    }

    pub fn update(&mut self, status: &SessionStatus) {
        self.latest.status = Some(discovery_status(status));
        self.publish();
    }

    fn publish(&self) {
        self.recorder.update(&self.dataplane, self.latest.clone());
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.latest.disconnect_time = Some(SystemTime::now().into());
        self.publish();
    }
}

/// Replaces each subscription by its id, or appends it; keeps the newest, and every one that is open.
fn merge(known: DataplaneInsight, latest: &BTreeMap<String, DiscoverySubscription>) -> DataplaneInsight {
    let mut subscriptions = known.subscriptions.unwrap_or_default();
    let mut appended = Vec::new();
    for subscription in latest.values() {
        match subscriptions.iter_mut().find(|it| it.id == subscription.id) {
            Some(known) => *known = subscription.clone(),
            None => appended.push(subscription.clone()),
        }
    }
    appended.sort_by(|a, b| (a.connect_time, &a.id).cmp(&(b.connect_time, &b.id)));
    subscriptions.extend(appended);
    let mut excess = subscriptions.len().saturating_sub(KEPT_SUBSCRIPTIONS);
    subscriptions.retain(|it| {
        let forgotten = excess > 0 && !it.is_open();
        excess -= usize::from(forgotten);
        !forgotten
    });
    DataplaneInsight { subscriptions: Some(subscriptions) }
}

/// Kuma 0.3.0 counted four types on the aggregated stream; `total` is their sum.
fn discovery_status(status: &SessionStatus) -> DiscoveryStatus {
    let of = |resource_type| status.counts.get(&resource_type).copied().unwrap_or_default();
    let (cds, eds) = (of(ResourceType::Cluster), of(ResourceType::Endpoint));
    let (lds, rds) = (of(ResourceType::Listener), of(ResourceType::Route));
    let printed = |counts: Counts| {
        Some(ServiceStats {
            responses_sent: counts.sent,
            responses_acknowledged: counts.acknowledged,
            responses_rejected: counts.rejected,
        })
    };
    let sum = |field: fn(&Counts) -> u64| [cds, eds, lds, rds].iter().map(field).sum();
    DiscoveryStatus {
        last_update_time: status.last_update.map(Timestamp::from),
        total: printed(Counts {
            sent: sum(|it| it.sent),
            acknowledged: sum(|it| it.acknowledged),
            rejected: sum(|it| it.rejected),
        }),
        cds: printed(cds),
        eds: printed(eds),
        lds: printed(lds),
        rds: printed(rds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(id: &str, seconds: i64) -> DiscoverySubscription {
        let connect_time = Some(Timestamp { seconds, nanos: 0 });
        DiscoverySubscription { id: id.into(), connect_time, ..DiscoverySubscription::default() }
    }

    fn latest(subscriptions: &[DiscoverySubscription]) -> BTreeMap<String, DiscoverySubscription> {
        subscriptions.iter().map(|it| (it.id.clone(), it.clone())).collect()
    }

    #[test]
    fn a_subscription_replaces_itself_and_new_ones_follow_in_order_of_time() {
        let known = merge(DataplaneInsight::default(), &latest(&[subscription("b", 1)]));
        let ended =
            DiscoverySubscription { disconnect_time: Some(Timestamp::default()), ..subscription("b", 1) };
        let merged = merge(known, &latest(&[subscription("a", 3), subscription("c", 2), ended]));
        let ids: Vec<_> = merged.subscriptions().iter().map(|it| (it.id.as_str(), it.is_open())).collect();
        assert_eq!(ids, [("b", false), ("c", true), ("a", true)]);
    }

    #[test]
    fn the_newest_are_kept_and_whichever_is_open() {
        let mut insight = merge(DataplaneInsight::default(), &latest(&[subscription("healthy", 0)]));
        for i in 1..25 {
            let ended = Some(Timestamp { seconds: i, nanos: 1 });
            let crashed =
                DiscoverySubscription { disconnect_time: ended, ..subscription(&format!("{i:02}"), i) };
            insight = merge(insight, &latest(&[crashed]));
        }
        let ids: Vec<_> = insight.subscriptions().iter().map(|it| it.id.as_str()).collect();
        assert_eq!((ids.len(), ids[0], ids[1], ids[9]), (KEPT_SUBSCRIPTIONS, "healthy", "16", "24"));
    }

    #[test]
    fn total_is_the_sum_of_the_four_documented_types() {
        let counts = Counts { sent: 2, acknowledged: 1, rejected: 1 };
        let types = [ResourceType::Cluster, ResourceType::Listener, ResourceType::Extension];
        let status =
            SessionStatus { counts: types.map(|it| (it, counts)).into(), ..SessionStatus::default() };
        let status = discovery_status(&status);
        assert_eq!(status.total.unwrap().responses_sent, 4);
        assert_eq!(status.rds, Some(ServiceStats::default()));
    }
}
