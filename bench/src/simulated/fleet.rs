//! All simulated proxies, and the board on which they note what they received, so that nobody has to ask them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::change::Change;
use super::conversation::{Novelty, ProtocolError, ResourceType};
use super::proxy::{self, Surroundings};

/// Running proxies. They end when this is dropped.
pub struct Fleet {
    surroundings: Arc<Surroundings>,
    round: watch::Sender<u32>,
    _proxies: JoinSet<()>,
}

/// Where the proxies note what happened.
#[derive(Debug, Default)]
pub(crate) struct Board {
    notes: Mutex<Notes>,
    /// Told when what is waited for has come, or cannot come any more. There is one who waits.
    progress: Notify,
}

#[derive(Debug)]
struct Notes {
    round_began: Instant,
    /// Of the present round, since it began.
    configured: BTreeMap<u32, Duration>,
    proxies: usize,
    traffic: Traffic,
    lost: Losses,
    violation: Option<String>,
    watched: Option<Watched>,
    /// How many responses are waited for.
    awaited: Option<u64>,
}

/// A change under way.
#[derive(Debug)]
struct Watched {
    change: Change,
    missing: BTreeSet<u32>,
    acknowledged: Vec<Instant>,
    unexpected: u64,
    first_unexpected: Option<String>,
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

/// How long a round took until all proxies were configured.
#[derive(Debug, Clone)]
pub struct Round {
    /// Sorted, one a proxy, since the round began.
    pub configured: Vec<Duration>,
    pub traffic: Traffic,
    pub lost: Losses,
}

/// Streams that broke, by cause: a handful of sentences, because none of them names a proxy.
pub type Losses = BTreeMap<String, u64>;

/// How a change reached those who had to hear of it.
#[derive(Debug, Clone)]
pub struct Spread {
    pub last_acknowledged: Instant,
    pub traffic: Traffic,
    /// Responses that nobody should have received, and the first of them in words.
    pub unexpected: u64,
    pub first_unexpected: Option<String>,
}

impl Fleet {
    /// Opens one stream a token, all at once.
    pub(crate) fn start(surroundings: Arc<Surroundings>, tokens: Vec<String>) -> Self {
        let (round, receiver) = watch::channel(0);
        let mut proxies = JoinSet::new();
        surroundings.board.begin_round(tokens.len());
        for (number, token) in (0..).zip(tokens) {
            proxies.spawn(proxy::run(surroundings.clone(), number, token, receiver.clone()));
        }
        Self { surroundings, round, _proxies: proxies }
    }

    /// Closes all streams and opens them again, all at once.
    pub fn reconnect(&self) {
        self.begin_round();
        self.round.send_modify(|round| *round += 1);
    }

    /// Counts anew, and leaves the streams alone: they are about to be broken by somebody else.
    pub fn begin_round(&self) {
        let proxies = self.board().notes().proxies;
        self.board().begin_round(proxies);
    }

    /// Waits until so many responses were received since the last change was announced, or the round began.
    pub async fn received(&self, responses: u64, deadline: Duration) -> anyhow::Result<Traffic> {
        self.board().notes().awaited = Some(responses);
        self.wait(deadline, |notes| notes.traffic.all_responses() >= responses).await.with_context(|| {
            format!("{:?} of {responses} responses were received", self.traffic().responses)
        })?;
        Ok(self.traffic())
    }

    /// Waits until every proxy has all that it asked for since the round began.
    pub async fn configured(&self, deadline: Duration) -> anyhow::Result<Round> {
        let done = |notes: &Notes| notes.configured.len() == notes.proxies;
        self.wait(deadline, done).await.with_context(|| {
            let notes = self.board().notes();
            format!("{} of {} proxies are configured", notes.configured.len(), notes.proxies)
        })?;
        let notes = self.board().notes();
        let mut configured: Vec<Duration> = notes.configured.values().copied().collect();
        configured.sort_unstable();
        Ok(Round { configured, traffic: notes.traffic.clone(), lost: notes.lost.clone() })
    }

    /// Announces a change before it is written: who has to receive it. Traffic is counted from here.
    pub fn expect(&self, change: Change, by: BTreeSet<u32>) {
        let mut notes = self.board().notes();
        notes.traffic = Traffic::default();
        notes.watched = Some(Watched {
            change,
            missing: by,
            acknowledged: Vec::new(),
            unexpected: 0,
            first_unexpected: None,
        });
    }

    /// Waits until all have received and acknowledged it, and for `settle` longer for what nobody should receive.
    pub async fn spread(&self, deadline: Duration, settle: Duration) -> anyhow::Result<Spread> {
        let done = |notes: &Notes| notes.watched.as_ref().is_none_or(|watched| watched.missing.is_empty());
        self.wait(deadline, done).await.with_context(|| {
            let notes = self.board().notes();
            let missing = notes.watched.as_ref().map_or(0, |watched| watched.missing.len());
            format!("{missing} proxies did not receive what they should")
        })?;
        tokio::time::sleep(settle).await;
        let mut notes = self.board().notes();
        let watched = notes.watched.take().context("no change was announced")?;
        Ok(Spread {
            last_acknowledged: watched
                .acknowledged
                .iter()
                .max()
                .copied()
                .context("nobody had to hear of it")?,
            traffic: notes.traffic.clone(),
            unexpected: watched.unexpected,
            first_unexpected: watched.first_unexpected,
        })
    }

    /// What was sent since the last change was announced, or the round began.
    pub fn traffic(&self) -> Traffic {
        self.board().notes().traffic.clone()
    }

    /// The streams that were refused or broke since the round began.
    pub fn lost(&self) -> Losses {
        self.board().notes().lost.clone()
    }

    fn board(&self) -> &Board {
        &self.surroundings.board
    }

    async fn wait(&self, deadline: Duration, done: impl Fn(&Notes) -> bool) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                {
                    let notes = self.board().notes();
                    if let Some(violation) = &notes.violation {
                        bail!("{violation}");
                    }
                    if done(&notes) {
                        return Ok(());
                    }
                }
                self.board().progress.notified().await;
            }
        };
        if let Ok(result) = timeout(deadline, waiting).await {
            return result;
        }
        let notes = self.board().notes();
        bail!("nothing more came within {} s; streams lost: {:?}", deadline.as_secs(), notes.lost)
    }
}

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
        let is_spread = notes.watched.as_ref().is_some_and(|watched| watched.missing.is_empty());
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

    fn begin_round(&self, proxies: usize) {
        *self.notes() = Notes { proxies, ..Notes::default() };
    }

    /// Notes are complete at every step, so those of a thread that panicked are good, too.
    fn notes(&self) -> MutexGuard<'_, Notes> {
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
    fn note(&mut self, proxy: u32, response: &DeltaDiscoveryResponse, now: Instant) {
        if self.missing.contains(&proxy) && self.change.is_in(response) {
            self.missing.remove(&proxy);
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

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("board", self.board()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::tests::endpoints;
    use super::*;

    #[test]
    fn who_hears_too_much_is_counted_and_named() {
        let (cluster, endpoint) = ("web".to_owned(), "10.0.0.2:8080".parse().expect("an address"));
        let mut watched = Watched {
            change: Change::EndpointAdded { cluster, endpoint },
            missing: BTreeSet::from([1, 2]),
            acknowledged: Vec::new(),
            unexpected: 0,
            first_unexpected: None,
        };
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
        assert!(watched.first_unexpected.is_some_and(|first| first.starts_with("proxy 3: ")));
        assert_eq!(watched.missing, BTreeSet::from([2]));
    }
}
