//! Requests of the state-of-the-world protocol: each one names all that the client wants of a type, and a version stands
//! for all that it has of it.
//!
//! Clusters and listeners are always answered as the whole set; other types only with what is new, since what is not in
//! a response stays as it is ("Deleting Resources" of the xDS protocol). So the channels, the order and the rejections
//! are those of the incremental protocol, and only the words differ.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use aws_lc_rs::digest::{Context, SHA256};

use super::{
    Moment, Protocol, Response, Session,
    channel::{Action, Channel, Held, Urgency},
    delta::{WILDCARD, shared},
};
use crate::{Resource, ResourceType, Snapshot};

/// A `DiscoveryRequest`, without the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateRequest {
    pub type_url: String,
    /// Of what the client has accepted last; counts in the first request of a type.
    pub version: String,
    /// Empty if this answers nothing.
    pub response_nonce: String,
    /// The message of `error_detail`, whose presence, and nothing else, makes an answer a refusal.
    pub error: Option<String>,
    /// All that the client wants of the type.
    pub names: Vec<String>,
}

impl Session {
    /// A request of a type that is not served is ignored: it has no answer.
    pub fn on_state_request(&mut self, request: &StateRequest, now: Moment) -> Vec<Response> {
        let Some(resource_type) = ResourceType::from_type_url(&request.type_url) else { return Vec::new() };
        self.note_first(resource_type);
        let Some(channel) = self.channels.get(resource_type) else {
            let channel = self.channels.open(Protocol::StateOfTheWorld, resource_type, now.monotonic);
            open(channel, request, self.began_warm, self.snapshot.as_deref(), now.wall);
            if resource_type == ResourceType::Endpoint {
                self.let_endpoints_follow_what_is_under_way();
            }
            return self.advance(now);
        };
        let nonce = request.response_nonce.parse().ok();
        let repeats = channel.was_answered_by(nonce);
        if let Some(nonce) = nonce {
            self.on_answer(resource_type, nonce, request.error.as_deref(), now);
        }
        if let Some(channel) = self.channels.get_mut(resource_type) {
            resubscribe(channel, request, repeats, self.snapshot.as_deref());
        }
        self.advance(now)
    }
}

fn open(
    channel: &mut Channel,
    request: &StateRequest,
    began_warm: bool,
    snapshot: Option<&Snapshot>,
    now: SystemTime,
) {
    let resource_type = channel.resource_type;
    channel.names_wildcard = resource_type.has_wildcard() && names_wildcard(&request.names);
    channel.wildcard = channel.names_wildcard || (resource_type.has_wildcard() && request.names.is_empty());
    channel.came_with_some = !request.version.is_empty();
    // Every name is answered, because the client may be warming what uses it and wait for an answer, although the version
    // is the one that it has; but for endpoints, when no cluster is warming.
    let version_counts = channel.is_whole() || (began_warm && resource_type == ResourceType::Endpoint);
    channel.offered = version_counts.then(|| (request.version.clone(), now));
    // Who has an older one that works hears of a newer one when it is its turn: what that refers to comes first.
    let holds_some =
        matches!(resource_type, ResourceType::Extension | ResourceType::Route) && !request.version.is_empty();
    let urgency = if channel.is_whole() || holds_some { Urgency::Changed } else { Urgency::Asked };
    for name in names(resource_type, request) {
        let name = shared(resource_type, name, snapshot);
        channel.subscribe(name.clone());
        channel.mark(name, urgency, snapshot);
    }
    if let Some(snapshot) = snapshot {
        channel.compare_with_first(snapshot);
    }
}

/// Every later request. `repeats`: it has the nonce of a response that was answered before, or none where there was no
/// response yet. Envoy asks so again for endpoints when it warms a cluster anew, and waits for an answer.
fn resubscribe(channel: &mut Channel, request: &StateRequest, repeats: bool, snapshot: Option<&Snapshot>) {
    let resource_type = channel.resource_type;
    let wanted: BTreeSet<&str> = names(resource_type, request).collect();
    let lost = channel.subscribed_but_for(&wanted);
    let gained: Vec<&str> = wanted.into_iter().filter(|name| !channel.subscribes_to(name)).collect();
    let asks_again = repeats && lost.is_empty() && gained.is_empty();

    // Who wants everything may say so by naming nothing, if he has never named anything.
    let has_named = channel.names_wildcard || !lost.is_empty();
    let everything = channel.wildcard && request.names.is_empty() && !has_named;
    channel.names_wildcard = resource_type.has_wildcard() && names_wildcard(&request.names);
    let wildcard = channel.names_wildcard || everything;
    match (channel.wildcard, wildcard) {
        (true, false) => channel.unsubscribe_wildcard(),
        (false, true) => channel.subscribe_wildcard(snapshot),
        _ => {}
    }
    for name in lost {
        channel.lose_interest_in(&name);
    }
    if !gained.is_empty() {
        channel.offered = None; // It was said of fewer names.
    }
    for name in gained {
        let name = shared(resource_type, name, snapshot);
        channel.subscribe(name.clone());
        channel.mark(name, Urgency::Asked, snapshot);
    }
    if asks_again {
        channel.answer_all_again(snapshot);
    }
}

fn names(resource_type: ResourceType, request: &StateRequest) -> impl Iterator<Item = &str> {
    let is_name = move |it: &&str| !(resource_type.has_wildcard() && *it == WILDCARD);
    request.names.iter().map(String::as_str).filter(is_name)
}

fn names_wildcard(names: &[String]) -> bool {
    names.iter().any(|it| it == WILDCARD)
}

impl Channel {
    /// Whether every response is the whole set, so that what is not in it is removed (xDS protocol, "Deleting
    /// Resources"): clusters and listeners of the state-of-the-world protocol.
    pub(super) fn is_whole(&self) -> bool {
        self.protocol == Protocol::StateOfTheWorld && self.resource_type.has_wildcard()
    }

    /// Whether the client has, from an earlier stream, what it should have: it says so by its version. Then it needs no
    /// answer, but of a whole set, which it gets all the same. Its version is that of the last set that it has taken, and
    /// says nothing of one that it refused later: Envoy takes what is good of that, so that it may have something else, and
    /// more. To an Envoy that has just this set it is a confirmation, and changes nothing.
    pub(super) fn holds_already(&mut self, snapshot: &Snapshot) -> bool {
        let Some((offered, at)) = self.offered.take() else { return false };
        let is_wanted = |it: &&Arc<Resource>| self.wildcard || self.subscribes_to(&it.name);
        let wanted: Vec<_> = snapshot.of_type(self.resource_type).iter().filter(is_wanted).cloned().collect();
        let is_there = |name: &Arc<str>| snapshot.get(self.resource_type, name).is_some();
        let all_are_there = self.is_whole() || self.names.keys().all(is_there);
        if version(wanted.iter()) != offered || !all_are_there {
            self.leave_what_is_about_to_go(snapshot, &offered);
            return false;
        }
        let is_certain = !self.is_whole();
        for resource in wanted {
            let entry = self.names.entry(resource.name.clone()).or_default();
            entry.acknowledged = is_certain.then(|| (resource.version.clone(), at));
            entry.held = Some(Held::Sent(resource));
        }
        self.pending.clear();
        true
    }

    /// Who has endpoints of a cluster that is about to go keeps them as long as the cluster.
    fn leave_what_is_about_to_go(&mut self, snapshot: &Snapshot, offered: &str) {
        if self.is_whole() || !self.came_with_some {
            return;
        }
        let is_gone = |name: &&Arc<str>| snapshot.get(self.resource_type, name).is_none();
        for name in self.names.keys().filter(is_gone).cloned().collect::<Vec<_>>() {
            self.pending.remove(&name);
            self.names.entry(name).or_default().held = Some(Held::Told(Arc::from(offered)));
        }
    }

    /// The version of all that the client has of the type once it has taken a response with this, where there are such
    /// versions. Who comes back with it has not what it refused before and is not offered again.
    pub(super) fn state_version(&self, said: &[(Arc<str>, Action)]) -> Option<String> {
        let is_refused = |name: &str| self.rejected.as_ref().is_some_and(|it| it.contains(name));
        let is_said = |name: &str| self.is_whole() || said.iter().any(|(it, _)| **it == *name);
        let is_taken = |it: &&Arc<Resource>| !is_refused(&it.name) || is_said(&it.name);
        (self.protocol == Protocol::StateOfTheWorld).then(|| version(self.held().filter(is_taken)))
    }

    /// Everything that the client has from this server once it has processed all that was sent, by name.
    pub(super) fn held(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.names.values().filter_map(|it| it.held.as_ref()?.resource())
    }

    /// Names and versions of what may be new to the client in a set in which this was said: that, and all that it has not
    /// acknowledged. What it has acknowledged may have been replaced meanwhile, and is put back.
    pub(super) fn news_of_the_set(&self, said: &[(Arc<str>, Arc<str>)]) -> Vec<(Arc<str>, Arc<str>)> {
        let is_news = |it: &&Arc<Resource>| {
            !self.has_taken(&it.name, &it.version) || said.iter().any(|(name, _)| *name == it.name)
        };
        self.held().filter(is_news).map(|it| (it.name.clone(), it.version.clone())).collect()
    }

    fn was_answered_by(&self, nonce: Option<u64>) -> bool {
        !self.is_whole() && self.in_flight.is_empty() && nonce == self.last_answered
    }

    fn subscribed_but_for(&self, wanted: &BTreeSet<&str>) -> Vec<Arc<str>> {
        let subscribed = self.names.iter().filter(|(_, it)| it.explicit).map(|(name, _)| name);
        subscribed.filter(|name| !wanted.contains(name.as_ref())).cloned().collect()
    }

    fn lose_interest_in(&mut self, name: &str) {
        if let Some(entry) = self.names.get_mut(name).filter(|it| self.wildcard && it.held.is_some()) {
            entry.explicit = false;
            return;
        }
        self.names.remove(name);
        self.pending.remove(name);
        self.forget_rejection_of(name);
    }

    fn answer_all_again(&mut self, snapshot: Option<&Snapshot>) {
        let subscribed = self.names.iter().filter(|(_, it)| it.explicit);
        for name in subscribed.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.mark(name, Urgency::Asked, snapshot);
        }
    }
}

/// A hash of names and versions, in the order of names; as long as a resource's version.
fn version<'a>(resources: impl Iterator<Item = &'a Arc<Resource>>) -> String {
    let mut context = Context::new(&SHA256);
    for text in resources.flat_map(|it| [&it.name, &it.version]) {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    let digest = context.finish();
    let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(first))
}
