//! What may go out now, and what waits for what: make before break.
//!
//! Inside one push: clusters, then the endpoints of exactly those clusters, secrets, listeners, extensions and routes;
//! then, once listeners and routes were answered, what nobody refers to any more. Nothing waits for ever: who waits for
//! an answer is patient for [`PATIENCE`] only, because an answer may be withheld for as long as something warms.
//!
//! What the client asked for is never kept waiting for another type: while it warms, Envoy withholds its answer for
//! clusters until endpoints and secrets have come, so that waiting would be a deadlock.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Moment, Response, Session,
    channel::{Action, Channel, Urgency},
    channels::Channels,
    portion::{Due, Portion},
};
use crate::{Resource, ResourceType, Snapshot};

/// How long others wait for the answer to a response.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a newer state of the clusters waits for the answer to the one before. Envoy withholds that answer while a
/// cluster warms, 15 s if nobody has endpoints for it, and takes a newer state meanwhile.
const CLUSTER_PACE: Duration = Duration::from_millis(200);

/// The most responses with clusters without an answer: more than go out at [`CLUSTER_PACE`] in the 15 s after which
/// Envoy gives up warming. Of every other type there is one.
pub(super) const CLUSTERS_IN_FLIGHT_MAX: usize = 100;

/// One look at all channels.
struct Turn<'a> {
    channels: &'a Channels,
    snapshot: &'a Snapshot,
    now: Instant,
    /// When to look again though nothing has happened.
    wake: Option<Instant>,
}

impl Session {
    /// Says all that may be said now.
    pub(super) fn advance(&mut self, now: Moment) -> Vec<Response> {
        let mut responses = Vec::new();
        if let Some(snapshot) = self.snapshot.clone() {
            for (_, channel) in self.channels.iter_mut() {
                channel.retry_rejected(now.monotonic, &snapshot);
            }
            // What is said of one type may be what another waited for, or waits for now.
            while self.take_turns(&snapshot, now, &mut responses) {}
        }
        self.update_status();
        responses
    }

    /// Every type once, in order. False if nothing was said; then the deadline is right.
    fn take_turns(&mut self, snapshot: &Snapshot, now: Moment, responses: &mut Vec<Response>) -> bool {
        let said_before = responses.len();
        let retries = self.channels.iter().filter_map(|(_, it)| it.rejected.as_ref()?.retry_at);
        self.deadline = retries.min();
        for resource_type in ResourceType::ALL {
            responses.extend(self.say(resource_type, snapshot, now));
        }
        responses.len() > said_before
    }

    fn say(&mut self, resource_type: ResourceType, snapshot: &Snapshot, now: Moment) -> Option<Response> {
        let mut turn =
            Turn { channels: &self.channels, snapshot, now: now.monotonic, wake: self.deadline.take() };
        let portion = turn.what_to_say(resource_type);
        self.deadline = turn.wake;
        let portion = portion?;

        self.last_nonce += 1;
        let channel = self.channels.get_mut(resource_type)?;
        channel.sent(self.last_nonce, now.monotonic, &portion);
        if resource_type == ResourceType::Cluster {
            let endpoints = channel.in_flight.back().map(|it| channel.endpoints_of(it)).unwrap_or_default();
            self.let_endpoints_follow(endpoints, Some(snapshot));
        }
        self.status.counts.entry(resource_type).or_default().sent += 1;
        self.status.last_update = Some(now.wall);
        self.status_changed = true;

        Some(self.response(resource_type, portion.said))
    }

    fn response(&self, resource_type: ResourceType, said: Vec<(Arc<str>, Action)>) -> Response {
        let channel = self.channels.get(resource_type);
        let whole = channel.filter(|it| it.is_whole());
        let mut response = Response {
            resource_type,
            nonce: self.last_nonce,
            resources: whole.map(|it| it.held().cloned().collect()).unwrap_or_default(),
            removed: Vec::new(),
            state_version: channel.and_then(|it| it.state_version(&said)),
        };
        for (name, action) in said {
            match action {
                Action::Send(resource) if whole.is_none() => response.resources.push(resource),
                Action::Send(_) => {}
                Action::Remove => response.removed.push(name),
            }
        }
        response
    }

    /// Envoy throws away the endpoints of a cluster that it gets anew and waits for them again, even if they are the
    /// same, and the incremental protocol does not ask again. Of a whole set any cluster that was not acknowledged may be
    /// new to it. The endpoints of a cluster that it has not had before are not subscribed to yet, unless another shares
    /// them, and follow when it asks.
    fn let_endpoints_follow(&mut self, names: Vec<Arc<str>>, snapshot: Option<&Snapshot>) {
        let Some(endpoints) = self.channels.get_mut(ResourceType::Endpoint) else { return };
        for name in names {
            if endpoints.subscribes_to(&name) {
                endpoints.mark(name, Urgency::Asked, snapshot);
            }
        }
    }

    /// A client that comes back asks for endpoints before it hears of the clusters that are on their way to it.
    pub(super) fn let_endpoints_follow_what_is_under_way(&mut self) {
        let Some(clusters) = self.channels.get(ResourceType::Cluster) else { return };
        let under_way = clusters.in_flight.iter().flat_map(|it| clusters.endpoints_of(it)).collect();
        let snapshot = self.snapshot.clone();
        self.let_endpoints_follow(under_way, snapshot.as_deref());
    }
}

impl Turn<'_> {
    /// The content of the next response of a type, if one may go out now.
    fn what_to_say(&mut self, resource_type: ResourceType) -> Option<Portion> {
        let channel = self.channels.get(resource_type)?;
        let portion = self.due(resource_type, channel).next_portion(channel);
        let first = channel.owes_first_answer && !self.first_answer_waits(resource_type, channel);
        ((!portion.said.is_empty() || first) && self.may_send(resource_type, channel)).then_some(portion)
    }

    fn due(&mut self, resource_type: ResourceType, channel: &Channel) -> Due {
        let (mut may_send, mut may_remove, mut follow_clusters) = (None, None, None);
        let mut due = Due::default();
        for (name, urgency) in channel.pending() {
            let Some(action) = channel.action(name, urgency, self.snapshot) else { continue };
            if urgency == Urgency::Refused {
                due.add(name.clone(), urgency, action);
                continue;
            }
            // A set that leaves out what is still to come would take it away.
            let is_first_set = channel.is_whole() && channel.owes_first_answer;
            let its_turn = (urgency == Urgency::Asked && !is_first_set)
                || match action {
                    Action::Send(_) => *may_send.get_or_insert_with(|| self.may_add(resource_type)),
                    Action::Remove => *may_remove.get_or_insert_with(|| self.may_remove(resource_type)),
                };
            let too_early = resource_type == ResourceType::Endpoint
                && urgency == Urgency::Changed
                && follow_clusters.get_or_insert_with(|| self.endpoints_of_clusters_to_come()).contains(name);
            if its_turn && !too_early {
                due.add(name.clone(), urgency, action);
            }
        }
        due
    }

    /// Whether it is the turn of what is new or changed of a type.
    fn may_add(&mut self, resource_type: ResourceType) -> bool {
        match resource_type {
            ResourceType::Cluster | ResourceType::Endpoint | ResourceType::Secret => true,
            ResourceType::Listener => !self.waits_for_clusters() && !self.endpoints_come_first(),
            ResourceType::Extension | ResourceType::Route => {
                !self.waits_for_clusters() && !self.endpoints_come_first() && !self.listeners_come_first()
            }
        }
    }

    /// Whether it is the turn of what is no longer wanted of a type.
    fn may_remove(&mut self, resource_type: ResourceType) -> bool {
        use ResourceType::{Cluster, Endpoint, Extension, Listener, Route, Secret};
        match resource_type {
            // Envoy removes listeners before it adds those of the same response, so that a new one can have the address
            // of an old one.
            Listener => self.may_add(Listener),
            Extension | Route => !self.waits_for(Listener),
            Secret => ![Listener, Cluster].into_iter().any(|it| self.waits_for(it)),
            Cluster => {
                !self.listeners_may_be_asked_for()
                    && ![Listener, Extension, Route].into_iter().any(|it| self.waits_for(it))
            }
            // Said only to who waits for a word about them.
            Endpoint => true,
        }
    }

    fn first_answer_waits(&mut self, resource_type: ResourceType, channel: &Channel) -> bool {
        resource_type == ResourceType::Listener
            && channel.pending().next().is_some()
            && !self.may_add(resource_type)
    }

    /// One response of a type at a time, but for clusters.
    fn may_send(&mut self, resource_type: ResourceType, channel: &Channel) -> bool {
        match channel.in_flight.back() {
            None => true,
            Some(last) if resource_type == ResourceType::Cluster => {
                let room = channel.in_flight.len() < CLUSTERS_IN_FLIGHT_MAX;
                room && !self.is_before(last.at + CLUSTER_PACE)
            }
            Some(_) => false,
        }
    }

    /// The names of endpoints that have to be sent anyway, after a newer state of their cluster.
    fn endpoints_of_clusters_to_come(&self) -> BTreeSet<Arc<str>> {
        self.clusters_to_come().map(|it| it.endpoints_name().clone()).collect()
    }

    /// What refers to clusters waits until they are there and warm, which their answer says. Envoy closes connections to
    /// a cluster that is still warming: in a series of pushes that each moved a listener's extension to a new cluster,
    /// Envoy 1.40 closed more than half of them without this wait, and none with it.
    ///
    /// A client that comes back while a cluster warms asks for clusters last, and for what refers to them before.
    fn waits_for_clusters(&mut self) -> bool {
        if self.channels.get(ResourceType::Cluster).is_none() {
            return self.clusters_may_be_asked_for();
        }
        let adds = self.clusters_to_come().next().is_some();
        adds || self.waits_for_answer(ResourceType::Cluster)
    }

    fn clusters_may_be_asked_for(&mut self) -> bool {
        let came_with_some = self.channels.iter().any(|(_, it)| it.came_with_some);
        let opened = self.channels.iter().map(|(_, it)| it.opened_at).min();
        came_with_some && opened.is_some_and(|opened| self.is_before(opened + PATIENCE))
    }

    /// The new and changed clusters that are about to go out: none if so many are unanswered that no more do, and none that
    /// was refused, which is offered again only when nothing is unanswered. One that warms for ever would hold back all.
    fn clusters_to_come(&self) -> impl Iterator<Item = Arc<Resource>> {
        let clusters = self.channels.get(ResourceType::Cluster);
        let clusters = clusters.filter(|it| it.in_flight.len() < CLUSTERS_IN_FLIGHT_MAX);
        clusters.into_iter().flat_map(|clusters| {
            let anew = clusters.pending().filter(|(_, urgency)| *urgency != Urgency::Refused);
            anew.filter_map(|(name, urgency)| match clusters.action(name, urgency, self.snapshot)? {
                Action::Send(resource) => Some(resource),
                Action::Remove => None,
            })
        })
    }

    fn adds(&self, channel: &Channel, name: &Arc<str>, urgency: Urgency) -> bool {
        matches!(channel.action(name, urgency, self.snapshot), Some(Action::Send(_)))
    }

    /// Whether endpoints that there are wait for the answer to the last response of their type. What refers to their
    /// clusters waits with them: a cluster that was taken away and comes back within one answer's time has been told that
    /// it has no endpoints, and Envoy closes whatever is sent there.
    fn endpoints_come_first(&mut self) -> bool {
        let Some(endpoints) = self.channels.get(ResourceType::Endpoint) else { return false };
        let wait = endpoints.pending().any(|(name, urgency)| {
            urgency != Urgency::Refused
                && self.snapshot.get(ResourceType::Endpoint, name).is_some()
                && self.adds(endpoints, name, urgency)
        });
        wait && self.waits_for_answer(ResourceType::Endpoint)
    }

    /// Whether a newer state of the listeners waits for the answer to the last one.
    fn listeners_come_first(&mut self) -> bool {
        let listeners = self.channels.get(ResourceType::Listener);
        listeners.is_some_and(|it| it.pending().next().is_some())
            && self.waits_for_answer(ResourceType::Listener)
    }

    /// A client that comes back asks for clusters first, then for listeners, and for what these refer to last: what it holds
    /// of them may refer to any cluster.
    fn listeners_may_be_asked_for(&mut self) -> bool {
        let Some(opened) = self.channels.get(ResourceType::Cluster).map(|it| it.opened_at) else {
            return false;
        };
        let of_them = [ResourceType::Extension, ResourceType::Route];
        let all_asked_for = self.channels.get(ResourceType::Listener).is_some_and(|listeners| {
            !listeners.came_with_some || of_them.into_iter().any(|it| self.channels.get(it).is_some())
        });
        !all_asked_for && self.is_before(opened + PATIENCE)
    }

    /// Whether what another type refers to has to stay, because that type was not said, or not answered, or refused.
    fn waits_for(&mut self, resource_type: ResourceType) -> bool {
        let Some(channel) = self.channels.get(resource_type) else { return false };
        if !channel.in_flight.is_empty() {
            return self.waits_for_answer(resource_type);
        }
        let rejected = channel.rejected.as_ref().is_some_and(|it| self.is_before(it.since + PATIENCE));
        rejected || channel.pending().next().is_some()
    }

    /// Whether the oldest unanswered response of a type is young enough to wait for.
    fn waits_for_answer(&mut self, resource_type: ResourceType) -> bool {
        let oldest = self.channels.get(resource_type).and_then(|it| it.in_flight.front());
        oldest.is_some_and(|it| self.is_before(it.at + PATIENCE))
    }

    /// Whether it is earlier than that. If so, all is looked at again then.
    fn is_before(&mut self, then: Instant) -> bool {
        if self.now >= then {
            return false;
        }
        self.wake = Some(self.wake.map_or(then, |wake| wake.min(then)));
        true
    }
}
