//! One type of one stream: what the client asked for, what it is believed to hold, and what remains to be said.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{Protocol, portion::Portion, rejected::Rejected, report::ResourceReport};
use crate::{Resource, ResourceType, Snapshot};

/// Begins with the client's first request for the type.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about what the client has said")]
pub(super) struct Channel {
    pub(super) protocol: Protocol,
    pub(super) resource_type: ResourceType,
    pub(super) opened_at: Instant,
    pub(super) wildcard: bool,
    /// State of the world only: whether the client has said so by name, and not by naming nothing.
    pub(super) names_wildcard: bool,
    /// Whether the client says that it holds something from an earlier stream.
    pub(super) came_with_some: bool,
    /// Envoy is not ready before its first request for clusters and its first for listeners were answered, be it with
    /// nothing.
    pub(super) owes_first_answer: bool,
    pub(super) names: BTreeMap<Arc<str>, Name>,
    /// What remains to be said. A name is here only while [`Channel::action`] has something for it, but before the
    /// first snapshot, when that cannot be known.
    pub(super) pending: BTreeMap<Arc<str>, Urgency>,
    /// Sent and not answered, oldest first.
    pub(super) in_flight: VecDeque<Sent>,
    /// Whether the last response went out before a resource that travels alone and was due, too.
    pub(super) has_overtaken: bool,
    pub(super) rejected: Option<Box<Rejected>>,
    /// State of the world only: the version that the client brought from an earlier stream, and when it said so.
    pub(super) offered: Option<(String, SystemTime)>,
    /// The nonce of the latest response that was answered.
    pub(super) last_answered: Option<u64>,
}

/// A name that the client subscribes to by name, or of which it holds something.
#[derive(Default)]
pub(super) struct Name {
    pub(super) explicit: bool,
    /// What the client has once it has processed all that was sent; `None` if it has nothing.
    pub(super) held: Option<Held>,
    /// What it has said that it has taken, and when.
    pub(super) acknowledged: Option<(Arc<str>, SystemTime)>,
}

/// Something that a client has.
pub(super) enum Held {
    /// From an earlier stream, as it says.
    Told(Arc<str>),
    Sent(Arc<Resource>),
}

impl Held {
    fn version(&self) -> &Arc<str> {
        match self {
            Self::Told(version) => version,
            Self::Sent(resource) => &resource.version,
        }
    }

    /// Unknown of what it has from an earlier stream.
    pub(super) fn resource(&self) -> Option<&Arc<Resource>> {
        match self {
            Self::Told(_) => None,
            Self::Sent(resource) => Some(resource),
        }
    }
}

/// Why something has to be said of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// The client holds something else than it should. Waits for its turn in make-before-break order.
    Changed,
    /// The client asked, or needs to hear it again. Said whatever it holds, and never kept waiting for another type.
    Asked,
    /// The client refused it, perhaps for the sake of another in the same response. Said again in a response of its own.
    Refused,
}

/// What has to be said of a name.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Send(Arc<Resource>),
    Remove,
}

/// A response without an answer yet.
pub(super) struct Sent {
    pub(super) nonce: u64,
    pub(super) at: Instant,
    /// Names and versions.
    pub(super) resources: Vec<(Arc<str>, Arc<str>)>,
    pub(super) removed: Vec<Arc<str>>,
    /// Whether it only says again what the client says it has.
    confirms: bool,
}

impl Channel {
    pub(super) fn new(protocol: Protocol, resource_type: ResourceType, now: Instant) -> Self {
        Self {
            protocol,
            resource_type,
            opened_at: now,
            wildcard: false,
            names_wildcard: false,
            came_with_some: false,
            owes_first_answer: resource_type.has_wildcard(),
            names: BTreeMap::new(),
            pending: BTreeMap::new(),
            in_flight: VecDeque::new(),
            has_overtaken: false,
            rejected: None,
            offered: None,
            last_answered: None,
        }
    }

    pub(super) fn name_count(&self) -> usize {
        self.names.len()
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = (&Arc<str>, Urgency)> {
        self.pending.iter().map(|(name, urgency)| (name, *urgency))
    }

    /// Whether a name that was refused has to be said again one day, or is just about to be.
    pub(super) fn is_of_interest(&self, name: &Arc<str>, snapshot: &Snapshot) -> bool {
        let is_wanted = self.wildcard || self.subscribes_to(name);
        (is_wanted && self.is_answered(name, snapshot)) || self.pending.contains_key(name)
    }

    /// Whether there is such a resource, or its absence is said in the form of one.
    fn is_answered(&self, name: &str, snapshot: &Snapshot) -> bool {
        let said_to_be_empty = self.resource_type == ResourceType::Endpoint && self.subscribes_to(name);
        said_to_be_empty || snapshot.get(self.resource_type, name).is_some()
    }

    /// Whether all was said and answered.
    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty() && self.in_flight.is_empty() && !self.owes_first_answer
    }

    pub(super) fn subscribes_to(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|it| it.explicit)
    }

    /// Notes what the client says it has from an earlier stream.
    pub(super) fn believe(&mut self, name: Arc<str>, version: Arc<str>, now: SystemTime) {
        let entry = self.names.entry(name).or_default();
        entry.acknowledged = Some((version.clone(), now));
        entry.held = Some(Held::Told(version));
    }

    /// Notes that the client has taken this version.
    pub(super) fn note_taken(&mut self, name: &str, version: &Arc<str>, now: SystemTime) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.acknowledged = Some((version.clone(), now));
        }
    }

    pub(super) fn has_taken(&self, name: &str, version: &Arc<str>) -> bool {
        let acknowledged = self.names.get(name).and_then(|it| it.acknowledged.as_ref());
        acknowledged.is_some_and(|(taken, _)| taken == version)
    }

    /// What is known of each name, in order.
    pub(super) fn report(&self) -> impl Iterator<Item = ResourceReport> {
        self.names.iter().map(|(name, entry)| ResourceReport {
            resource_type: self.resource_type,
            name: name.clone(),
            sent: entry.held.as_ref().map(|it| it.version().clone()),
            acknowledged: entry.acknowledged.clone(),
        })
    }

    /// Notes an explicit subscription; what is to be said of the name is up to the caller.
    pub(super) fn subscribe(&mut self, name: Arc<str>) {
        self.names.entry(name).or_default().explicit = true;
    }

    pub(super) fn holds_something(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|it| it.held.is_some())
    }

    pub(super) fn unsubscribe(&mut self, name: &str, snapshot: Option<&Snapshot>) {
        let Some((name, mut entry)) = self.names.remove_entry(name) else { return };
        if !entry.explicit && self.wildcard {
            // It was never named: the wildcard gives it, as before.
            self.names.insert(name, entry);
            return;
        }
        if !self.wildcard {
            self.pending.remove(&name);
            self.forget_rejection_of(&name);
            return;
        }
        // Only the wildcard may give it to the client now, and the client cannot know whether it does.
        entry.explicit = false;
        self.names.insert(name.clone(), entry);
        self.mark(name, Urgency::Asked, snapshot);
    }

    /// Whoever asks for everything is answered in full.
    pub(super) fn subscribe_wildcard(&mut self, snapshot: Option<&Snapshot>) {
        self.wildcard = true;
        for resource in snapshot.map(|it| it.of_type(self.resource_type)).unwrap_or_default() {
            self.mark(resource.name.clone(), Urgency::Asked, snapshot);
        }
    }

    /// Ends the subscription to everything: what was not named is forgotten, as the client forgets it.
    pub(super) fn unsubscribe_wildcard(&mut self) {
        self.wildcard = false;
        self.names.retain(|_, it| it.explicit);
        let names = &self.names;
        self.pending.retain(|name, _| names.contains_key(name));
        if let Some(rejected) = &mut self.rejected {
            rejected.retain(|name| names.contains_key(name));
        }
        self.drop_empty_rejection();
    }

    /// Finds out what has to be said at the first snapshot, or when the channel is opened after it.
    pub(super) fn compare_with_first(&mut self, snapshot: &Snapshot) {
        if self.holds_already(snapshot) {
            return;
        }
        self.share_memory_with(snapshot);
        let mut names: Vec<_> = self.names.keys().chain(self.pending.keys()).cloned().collect();
        if self.wildcard {
            names.extend(snapshot.of_type(self.resource_type).iter().map(|it| it.name.clone()));
        }
        for name in names {
            self.mark(name, Urgency::Changed, Some(snapshot));
        }
    }

    /// Replaces names and versions that came from the client by the equal ones of the snapshot.
    fn share_memory_with(&mut self, snapshot: &Snapshot) {
        for resource in snapshot.of_type(self.resource_type) {
            let Some(mut entry) = self.names.remove(&resource.name) else { continue };
            if entry.held.as_ref().is_some_and(|it| *it.version() == resource.version) {
                entry.held = Some(Held::Sent(resource.clone()));
                if let Some((version, _)) = &mut entry.acknowledged {
                    *version = resource.version.clone();
                }
            }
            self.names.insert(resource.name.clone(), entry);
        }
    }

    pub(super) fn resource_changed(&mut self, name: &Arc<str>, snapshot: &Snapshot) {
        self.mark(name.clone(), Urgency::Changed, Some(snapshot));
        if self.judges_once() {
            return;
        }
        // What was refused with it may have been refused for its sake.
        let Some(rejected) = self.rejected.as_mut().filter(|it| it.contains(name)) else { return };
        for other in rejected.take_all_again() {
            if !(other == *name && self.pending.contains_key(name)) {
                self.mark_again(other, snapshot);
            }
        }
    }

    /// Puts on the list again what was rejected, if its time has come.
    pub(super) fn retry_rejected(&mut self, now: Instant, snapshot: &Snapshot) {
        if self.rejected.as_ref().is_some_and(|it| it.retry_at.is_some_and(|at| at <= now)) {
            self.offer_rejected_again(snapshot);
        }
    }

    /// Puts on the list again what was rejected, whether its time has come or not. A refusal that follows counts as a repeat.
    pub(super) fn offer_rejected_again(&mut self, snapshot: &Snapshot) {
        let Some(rejected) = &mut self.rejected else { return };
        for name in rejected.take_all_again() {
            self.mark_again(name, snapshot);
        }
        self.drop_rejections_without_cause(snapshot);
    }

    fn mark_again(&mut self, name: Arc<str>, snapshot: &Snapshot) {
        let urgency = if self.is_answered(&name, snapshot) { Urgency::Refused } else { Urgency::Changed };
        self.mark(name, urgency, Some(snapshot));
    }

    /// Notes that something may have to be said of a name; without a snapshot it is found out later.
    pub(super) fn mark(&mut self, name: Arc<str>, urgency: Urgency, snapshot: Option<&Snapshot>) {
        let urgency = self.pending.get(&name).map_or(urgency, |it| urgency.max(*it));
        if snapshot.is_some_and(|it| self.action(&name, urgency, it).is_none()) {
            self.pending.remove(&name);
        } else {
            self.pending.insert(name, urgency);
        }
    }

    /// What has to be said of a name now.
    pub(super) fn action(&self, name: &Arc<str>, urgency: Urgency, snapshot: &Snapshot) -> Option<Action> {
        let known = self.names.get(name);
        let explicit = known.is_some_and(|it| it.explicit);
        if !explicit && !self.wildcard {
            return None;
        }
        let held = known.and_then(|it| it.held.as_ref()).map(Held::version);
        let asked = urgency != Urgency::Changed;
        match snapshot.get(self.resource_type, name) {
            Some(resource) if asked || held != Some(&resource.version) => {
                Some(Action::Send(resource.clone()))
            }
            Some(_) => None,
            // Endpoints go with their cluster: until it has gone, what the client knows of them is better than nothing. Who
            // waits for a word about them is told that they are gone, after which Envoy goes on with those that it has.
            None if self.resource_type == ResourceType::Endpoint => match (held, asked, self.protocol) {
                (Some(_), false, _) => None,
                (Some(_), true, Protocol::Delta) => Some(Action::Remove),
                _ => Some(Action::Send(Arc::new(Resource::without_endpoints(name.clone())))),
            },
            // The state of the world has no words for it: the client keeps what it has until it loses its interest.
            None if self.protocol == Protocol::StateOfTheWorld && !self.is_whole() => None,
            // Who waits for one that it does not have is better off with silence: Envoy (1.36 and 1.40) takes a removal as an
            // update, which ends its `initial_fetch_timeout` but not its wait, so that its listeners never start to work.
            None if matches!(self.resource_type, ResourceType::Extension | ResourceType::Route) => {
                held.is_some().then_some(Action::Remove)
            }
            None => (asked || held.is_some()).then_some(Action::Remove),
        }
    }

    /// Notes that a response has gone out.
    pub(super) fn sent(&mut self, nonce: u64, now: Instant, portion: &Portion) {
        let mut sent = Sent {
            nonce,
            at: now,
            resources: Vec::new(),
            removed: Vec::new(),
            confirms: portion.said.is_empty(),
        };
        self.has_overtaken = portion.overtakes;
        for (name, action) in &portion.said {
            self.pending.remove(name);
            match action {
                Action::Send(resource) => {
                    self.names.entry(name.clone()).or_default().held = Some(Held::Sent(resource.clone()));
                    sent.resources.push((name.clone(), resource.version.clone()));
                }
                Action::Remove => {
                    self.forget(name);
                    sent.removed.push(name.clone());
                }
            }
        }
        if self.is_whole() {
            sent.resources = self.news_of_the_set(&sent.resources);
        }
        self.owes_first_answer = false;
        self.in_flight.push_back(sent);
    }

    /// Of clusters: the names under which the endpoints of those in an unanswered response are asked for. A confirmation most
    /// likely gives the client no cluster anew; if it does, the client asks.
    pub(super) fn endpoints_of(&self, sent: &Sent) -> Vec<Arc<str>> {
        if sent.confirms {
            return Vec::new();
        }
        let held = sent.resources.iter().filter_map(|(name, _)| self.names.get(name)?.held.as_ref());
        held.filter_map(Held::resource).map(|it| it.endpoints_name().clone()).collect()
    }

    fn forget(&mut self, name: &str) {
        let Some(entry) = self.names.get_mut(name) else { return };
        entry.held = None;
        entry.acknowledged = None;
        if !entry.explicit {
            self.names.remove(name);
        }
    }

    /// The responses that an answer with this nonce settles: that one and all before it. None if the nonce is stale.
    pub(super) fn take_answered(&mut self, nonce: u64) -> Vec<Sent> {
        let Some(at) = self.in_flight.iter().position(|it| it.nonce == nonce) else { return Vec::new() };
        self.last_answered = Some(nonce);
        self.in_flight.drain(..=at).collect()
    }
}
