//! Requests of the incremental protocol: subscriptions come as differences, and what the client holds is said once, in
//! the first request of a type.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use super::{
    Moment, Protocol, Response, Session,
    channel::{Channel, Urgency},
};
use crate::{ResourceType, Snapshot};

/// Stands for every resource of a type, where the type has a wildcard.
pub(super) const WILDCARD: &str = "*";

/// A `DeltaDiscoveryRequest`, without the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub type_url: String,
    /// Empty if this answers nothing.
    pub response_nonce: String,
    /// The message of `error_detail`, whose presence, and nothing else, makes an answer a refusal.
    pub error: Option<String>,
    pub subscribe: Vec<String>,
    pub unsubscribe: Vec<String>,
    /// What the client holds from an earlier stream; counts in the first request of a type.
    pub initial_versions: BTreeMap<String, String>,
}

impl Session {
    /// A request of a type that is not served is ignored: it has no answer.
    pub fn on_request(&mut self, request: &Request, now: Moment) -> Vec<Response> {
        let Some(resource_type) = ResourceType::from_type_url(&request.type_url) else { return Vec::new() };
        let is_first = self.channels.get(resource_type).is_none();
        if let (false, Ok(nonce)) = (is_first, request.response_nonce.parse()) {
            self.on_answer(resource_type, nonce, request.error.as_deref(), now);
        }
        self.note_first(resource_type);
        let snapshot = self.snapshot.as_deref();
        if is_first {
            let channel = self.channels.open(Protocol::Delta, resource_type, now.monotonic);
            open(channel, request, self.began_warm, snapshot, now.wall);
            if resource_type == ResourceType::Endpoint {
                self.let_endpoints_follow_what_is_under_way();
            }
        } else if let Some(channel) = self.channels.get_mut(resource_type) {
            resubscribe(channel, resource_type, request, snapshot);
        }
        self.advance(now)
    }
}

/// The first request of a type.
///
/// What a client says it holds counts for clusters and listeners, and for extensions and routes: those who wait for one
/// share it with those who have it. For endpoints and secrets it counts only if no cluster is warming, because that one
/// waits for an answer although the version is the one that the client has. One is warming where the client does not begin
/// with clusters, or has no endpoints for one that it names. (Envoy 1.40: an updated cluster that was warming when the
/// stream broke asks with its old version, and is stuck without an answer.)
fn open(
    channel: &mut Channel,
    request: &Request,
    began_warm: bool,
    snapshot: Option<&Snapshot>,
    now: SystemTime,
) {
    let resource_type = channel.resource_type;
    let told = &request.initial_versions;
    channel.came_with_some = !told.is_empty();
    if resource_type.has_wildcard() {
        channel.wildcard = request.subscribe.is_empty() || request.subscribe.iter().any(|it| it == WILDCARD);
        for (name, version) in told {
            channel.believe(Arc::from(name.as_str()), Arc::from(version.as_str()), now);
        }
    }
    let holds_all = || request.subscribe.iter().all(|name| told.contains_key(name));
    let is_believed = match resource_type {
        ResourceType::Endpoint => began_warm && holds_all(),
        ResourceType::Secret => began_warm,
        _ => true,
    };
    for name in names(resource_type, &request.subscribe) {
        if let Some(version) = told.get(name) {
            channel.believe(Arc::from(name), Arc::from(version.as_str()), now);
        }
        // Who has an older one that works hears of a newer one when it is its turn: what that refers to comes first.
        let is_waited_for = !(is_believed && channel.holds_something(name));
        let urgency = if is_waited_for { Urgency::Asked } else { Urgency::Changed };
        let name = shared(resource_type, name, snapshot);
        channel.subscribe(name.clone());
        channel.mark(name, urgency, snapshot);
    }
    if let Some(snapshot) = snapshot {
        channel.compare_with_first(snapshot);
    }
}

/// Every later request. Who subscribes again to what it has may have forgotten it (envoy#22418), so it is sent in full.
fn resubscribe(
    channel: &mut Channel,
    resource_type: ResourceType,
    request: &Request,
    snapshot: Option<&Snapshot>,
) {
    for name in names(resource_type, &request.unsubscribe) {
        channel.unsubscribe(name, snapshot);
    }
    let names_wildcard =
        |names: &[String]| resource_type.has_wildcard() && names.iter().any(|it| it == WILDCARD);
    if names_wildcard(&request.unsubscribe) {
        channel.unsubscribe_wildcard();
    }
    if names_wildcard(&request.subscribe) {
        channel.subscribe_wildcard(snapshot);
    }
    for name in names(resource_type, &request.subscribe) {
        let name = shared(resource_type, name, snapshot);
        channel.subscribe(name.clone());
        channel.mark(name, Urgency::Asked, snapshot);
    }
}

fn names(resource_type: ResourceType, names: &[String]) -> impl Iterator<Item = &str> {
    let is_name = move |it: &&str| !(resource_type.has_wildcard() && *it == WILDCARD);
    names.iter().map(String::as_str).filter(is_name)
}

/// The snapshot's own copy of a name, where it has it: of 10,000 clients most name the same things.
pub(super) fn shared(resource_type: ResourceType, name: &str, snapshot: Option<&Snapshot>) -> Arc<str> {
    let known = snapshot.and_then(|it| it.get(resource_type, name));
    known.map_or_else(|| Arc::from(name), |it| it.name.clone())
}
