//! One aggregated stream as a state machine without I/O.
//!
//! Inputs are requests, snapshots and the time; outputs are the responses to send, in order. A session keeps, for each
//! type that the client asked for, what the client is believed to hold ([`channel`]), and a list of the names about
//! which something remains to be said. That list is all that is looked at when something happens, so work is
//! proportional to what changed. [`order`] decides when each of them may go out, [`portion`] which share a response,
//! [`delta`] and [`state_of_the_world`] read requests of the two protocols, [`answers`] draws the consequences of an
//! answer, and [`rejected`] keeps what was refused and when to try again.
//!
//! Promises, whatever the client does: no panic; at most one unanswered response a type (clusters: see
//! [`order::CLUSTERS_IN_FLIGHT_MAX`]); no message repeated for ever; and once the client answers what it is sent, it
//! holds the latest snapshot's part of what it subscribes to.

mod answers;
mod channel;
mod channels;
mod delta;
mod order;
mod portion;
mod rejected;
mod report;
mod state_of_the_world;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use crate::{Rejection, Resource, ResourceType, SessionStatus, Snapshot};
use channel::Sent;
use channels::Channels;
use rejected::cut;

pub use delta::Request;
pub use report::{ResourceReport, StreamReport, StreamView};
pub use state_of_the_world::StateRequest;

/// Which of the two forms of the protocol a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Differences (`DeltaAggregatedResources`).
    Delta,
    /// Whole states (`StreamAggregatedResources`).
    StateOfTheWorld,
}

/// Something to send, as one message.
#[derive(Clone, Debug)]
pub struct Response {
    pub resource_type: ResourceType,
    /// Unique on its stream.
    pub nonce: u64,
    pub resources: Vec<Arc<Resource>>,
    /// Names that the client should forget. The state-of-the-world protocol says so by not naming them.
    pub removed: Vec<Arc<str>>,
    /// Of the state-of-the-world protocol: the version of all that the client has of this type after this response. The
    /// same resources have the same version, whoever sends them, so that a client that comes back with it has taken them.
    pub state_version: Option<String>,
}

/// The time, as an argument: on the clock that never jumps, and on the one that people read.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub monotonic: Instant,
    pub wall: SystemTime,
}

/// What one stream knows.
pub struct Session {
    protocol: Protocol,
    snapshot: Option<Arc<Snapshot>>,
    tag: u64,
    channels: Channels,
    last_nonce: u64,
    /// Whether the first request of the stream was for clusters. A client with a cluster that warms asks for no others
    /// until it is warm, so it has none: nothing of what it says it has waits to be said again.
    began_warm: bool,
    /// When something that waits for time, and not for the client, may go out.
    deadline: Option<Instant>,
    /// Spreads the retries of many sessions that were refused at one time.
    random: fastrand::Rng,
    status: SessionStatus,
    status_changed: bool,
}

impl Moment {
    pub fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }
}

impl Session {
    /// The same seed and the same inputs give the same outputs.
    pub fn new(protocol: Protocol, seed: u64) -> Self {
        Self {
            protocol,
            snapshot: None,
            tag: 0,
            channels: Channels::default(),
            last_nonce: 0,
            began_warm: false,
            deadline: None,
            random: fastrand::Rng::with_seed(seed),
            status: SessionStatus::default(),
            status_changed: false,
        }
    }

    /// What the client should have from now on. `tag` comes back as [`SessionStatus::settled_tag`].
    pub fn on_snapshot(&mut self, tag: u64, snapshot: Arc<Snapshot>, now: Moment) -> Vec<Response> {
        self.tag = tag;
        let previous = self.snapshot.take();
        let snapshot = &*self.snapshot.insert(snapshot);
        for (resource_type, channel) in self.channels.iter_mut() {
            match &previous {
                Some(previous) => {
                    for name in previous.differences(snapshot, resource_type) {
                        channel.resource_changed(&name, snapshot);
                    }
                }
                None => channel.compare_with_first(snapshot),
            }
            channel.drop_rejections_without_cause(snapshot);
        }
        self.advance(now)
    }

    /// To be called when [`Self::next_deadline`] has come; does nothing earlier.
    pub fn on_time(&mut self, now: Moment) -> Vec<Response> {
        self.advance(now)
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub fn status(&self) -> &SessionStatus {
        &self.status
    }

    /// The status, if it is another than at the last call.
    pub fn changed_status(&mut self) -> Option<&SessionStatus> {
        std::mem::take(&mut self.status_changed).then_some(&self.status)
    }

    /// The tag of the latest snapshot.
    pub fn tag(&self) -> u64 {
        self.tag
    }

    /// How many names are kept because this client named or holds them.
    pub fn name_count(&self) -> usize {
        self.channels.iter().map(|(_, channel)| channel.name_count()).sum()
    }

    /// Notes what the stream begins with.
    fn note_first(&mut self, resource_type: ResourceType) {
        if self.channels.iter().next().is_none() {
            self.began_warm = resource_type == ResourceType::Cluster;
        }
    }

    /// The client's answer to the response with that nonce, and so to those before it.
    fn on_answer(&mut self, resource_type: ResourceType, nonce: u64, error: Option<&str>, now: Moment) {
        let Some(channel) = self.channels.get_mut(resource_type) else { return };
        let answered: Vec<Sent> = channel.take_answered(nonce);
        if answered.is_empty() {
            return; // Stale, or answered already.
        }
        let count = answered.len() as u64;
        let counts = self.status.counts.entry(resource_type).or_default();
        if let Some(message) = error {
            counts.rejected += count;
            channel.reject(answered, now.monotonic, &mut self.random, self.snapshot.as_deref());
            let rejection = Rejection { message: cut(message), resources: Vec::new() };
            self.status.rejections.insert(resource_type, rejection);
        } else {
            counts.acknowledged += count;
            let gives_new_clusters = resource_type == ResourceType::Cluster && channel.are_news(&answered);
            channel.accept(&answered, now.wall);
            if gives_new_clusters {
                self.offer_again_what_refers_to_clusters();
            }
        }
        self.status.last_update = Some(now.wall);
        self.status_changed = true;
    }

    /// Brings the part of the status up to date that follows from the channels.
    fn update_status(&mut self) {
        let channels = &self.channels;
        let mut changed = false;
        self.status.rejections.retain(|it, rejection| {
            let Some(rejected) = channels.get(*it).and_then(|it| it.rejected.as_ref()) else {
                changed = true;
                return false;
            };
            let resources = rejected.resources();
            changed |= rejection.resources != resources;
            rejection.resources = resources;
            true
        });
        let settled = self.snapshot.as_ref().is_some_and(|snapshot| {
            ResourceType::ALL.into_iter().all(|it| match channels.get(it) {
                Some(channel) => channel.is_settled(),
                None => !it.has_wildcard() || snapshot.of_type(it).is_empty(),
            })
        });
        let settled_tag = if settled { self.tag } else { self.status.settled_tag };
        changed |= settled != self.status.settled || settled_tag != self.status.settled_tag;
        self.status_changed |= changed;
        self.status.settled = settled;
        self.status.settled_tag = settled_tag;
    }
}
