//! The board on which all proxies note what they receive, so that nobody has to ask them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use tokio::sync::Notify;

use super::change::Change;
use super::conversation::{Novelty, ProtocolError, ResourceType};

/// Where the proxies note what happened.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(super) notes: Mutex<Notes>,
    /// Told when what is waited for has come, or cannot come any more. There is one who waits.
    pub(super) progress: Notify,
}

#[derive(Debug)]
pub(super) struct Notes {
    pub(super) round_began: Instant,
    /// Of the present round, since it began.
    pub(super) configured: BTreeMap<u32, Duration>,
    pub(super) proxies: usize,
    pub(super) traffic: Traffic,
    pub(super) lost: Losses,
    pub(super) violation: Option<String>,
    pub(super) watched: Option<Watched>,
    /// How many responses are waited for.
    pub(super) awaited: Option<u64>,
}

/// A change under way.
#[derive(Debug)]
pub(super) struct Watched {
    change: Change,
    /// Proxies, and in a response of which type it has still to come to them.
    missing: BTreeSet<(u32, ResourceType)>,
    pub(super) acknowledged: Vec<Instant>,
    pub(super) unexpected: u64,
    pub(super) first_unexpected: Option<String>,
}

/// What the control plane sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    pub responses: BTreeMap<ResourceType, u64>,
    /// Of responses, without framing and TLS.
    pub bytes: u64,
    /// Of the resources in them alone.
    pub resource_bytes: BTreeMap<ResourceType, u64>,
    /// Which proxies were told something that they did not know: a resource that is new to them or has another version, or
    /// is removed.
    pub told: BTreeMap<ResourceType, BTreeSet<u32>>,
}

/// Streams that broke, by cause: a handful of sentences, because none of them names a proxy.
pub type Losses = BTreeMap<String, u64>;

impl Board {
    /// A response was received, and what there is to say to it was said.
    pub(crate) fn answered(
        &self,
        proxy: u32,
        response: &DeltaDiscoveryResponse,
        bytes: usize,
        novelty: Novelty,
    ) {
        let now = Instant::now();
        let mut notes = self.notes();
        notes.traffic.count(proxy, response, bytes, novelty);
        if let Some(watched) = &mut notes.watched {
            watched.note(proxy, response, now);
        }
        let is_spread = notes.watched.as_ref().is_some_and(Watched::is_spread);
        if is_spread || notes.awaited.is_some_and(|awaited| notes.traffic.all_responses() >= awaited) {
            self.progress.notify_one();
        }
    }

    /// A proxy has all that it asked for.
    pub(crate) fn configured(&self, proxy: u32) {
        let mut notes = self.notes();
        let elapsed = notes.round_began.elapsed();
        notes.configured.entry(proxy).or_insert(elapsed);
        if notes.configured.len() == notes.proxies {
            self.progress.notify_one();
        }
    }

    /// A stream broke, and will be opened again.
    pub(crate) fn lost(&self, error: &anyhow::Error) {
        *self.notes().lost.entry(format!("{error:#}")).or_default() += 1;
    }

    /// The control plane sent what it may not send: nothing that is measured afterwards counts.
    pub(crate) fn violated(&self, proxy: u32, violation: &ProtocolError) {
        self.notes().violation.get_or_insert_with(|| format!("proxy {proxy} received {violation}"));
        self.progress.notify_one();
    }

    pub(super) fn begin_round(&self, proxies: usize) {
        *self.notes() = Notes { proxies, ..Notes::default() };
    }

    /// Notes are complete at every step, so those of a thread that panicked are good, too.
    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Notes {
    fn default() -> Self {
        Self {
            round_began: Instant::now(),
            configured: BTreeMap::new(),
            proxies: 0,
            traffic: Traffic::default(),
            lost: Losses::new(),
            violation: None,
            watched: None,
            awaited: None,
        }
    }
}

impl Watched {
    pub(super) fn new(change: Change, by: BTreeSet<u32>) -> Self {
        let carriers = change.carriers();
        let missing = by.into_iter().flat_map(|proxy| carriers.iter().map(move |&carrier| (proxy, carrier)));
        Self {
            missing: missing.collect(),
            change,
            acknowledged: Vec::new(),
            unexpected: 0,
            first_unexpected: None,
        }
    }

    /// Whether it has come to everybody, as a whole.
    pub(super) fn is_spread(&self) -> bool {
        self.missing.is_empty()
    }

    /// To whom it has not come, as a whole.
    pub(super) fn missing_proxies(&self) -> usize {
        let proxies: BTreeSet<u32> = self.missing.iter().map(|(proxy, _)| *proxy).collect();
        proxies.len()
    }

    fn note(&mut self, proxy: u32, response: &DeltaDiscoveryResponse, now: Instant) {
        let part = ResourceType::from_url(&response.type_url).map(|carrier| (proxy, carrier));
        if let Some(part) = part
            && self.missing.contains(&part)
            && self.change.is_in(response)
        {
            self.missing.remove(&part);
            self.acknowledged.push(now);
            return;
        }
        self.unexpected += 1;
        self.first_unexpected.get_or_insert_with(|| {
            let names: Vec<&str> = response.resources.iter().map(|it| it.name.as_str()).collect();
            format!(
                "proxy {proxy}: {} {names:?}, removed {:?}",
                response.type_url, response.removed_resources
            )
        });
    }
}

impl Traffic {
    fn count(&mut self, proxy: u32, response: &DeltaDiscoveryResponse, bytes: usize, novelty: Novelty) {
        self.bytes += bytes as u64;
        let Some(resource_type) = ResourceType::from_url(&response.type_url) else { return };
        *self.responses.entry(resource_type).or_default() += 1;
        let resources: usize = response.resources.iter().map(prost::Message::encoded_len).sum();
        *self.resource_bytes.entry(resource_type).or_default() += resources as u64;
        if novelty == Novelty::New {
            self.told.entry(resource_type).or_default().insert(proxy);
        }
    }

    /// Of all types.
    pub fn all_responses(&self) -> u64 {
        self.responses.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::tests::{endpoints, inbound, policies};
    use super::*;

    #[test]
    fn who_hears_too_much_is_counted_and_named() {
        let (cluster, endpoint) = ("web".to_owned(), "10.0.0.2:8080".parse().expect("an address"));
        let mut watched = Watched::new(Change::EndpointAdded { cluster, endpoint }, BTreeSet::from([1, 2]));
        let now = Instant::now();
        let change = endpoints("web", &["10.0.0.2:8080"]);
        watched.note(1, &change, now);
        assert_eq!((watched.acknowledged.len(), watched.unexpected), (1, 0));

        watched.note(3, &change, now);
        watched.note(1, &change, now);
        watched.note(2, &endpoints("web", &[]), now);
        assert_eq!(
            (watched.acknowledged.len(), watched.unexpected),
            (1, 3),
            "a stranger, twice the same, another content"
        );
        let first = watched.first_unexpected.as_deref();
        assert!(first.is_some_and(|first| first.starts_with("proxy 3: ")));
        assert_eq!(watched.missing, BTreeSet::from([(2, ResourceType::Endpoint)]));
        assert!(!watched.is_spread());
    }

    #[test]
    fn a_change_in_two_parts_has_come_when_both_have() {
        let change = Change::PermissionGranted { permission: "bench".to_owned(), source: "web".to_owned() };
        let mut watched = Watched::new(change, BTreeSet::from([1, 2]));
        let now = Instant::now();
        for (part, missing) in [(inbound(&["web"]), 2), (policies(&["bench"]), 1)] {
            watched.note(1, &part, now);
            assert_eq!((watched.missing_proxies(), watched.unexpected), (missing, 0));
        }
        watched.note(1, &policies(&["bench"]), now);
        assert_eq!((watched.missing_proxies(), watched.unexpected), (1, 1), "the same part again");
    }
}
