//! What a proxy holds of one resource type, and how it asks for more.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

use super::resource_type::{ResourceType, Subscription};
use super::{Novelty, ProtocolError};

#[derive(Debug)]
pub(super) struct Holding {
    resource_type: ResourceType,
    versions: BTreeMap<String, String>,
    /// Asked for by name; always empty for the types of which everything is asked for.
    subscribed: BTreeSet<String>,
    /// Subscribed and not held yet.
    unanswered: BTreeSet<String>,
    /// Asked for at all on this stream.
    pub(super) asked: bool,
    /// Answered at all on this stream.
    pub(super) answered: bool,
    /// Answered at least once, on any stream.
    pub(super) ever_answered: bool,
}

impl Holding {
    pub(super) fn of(resource_type: ResourceType) -> Self {
        Self {
            resource_type,
            versions: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            asked: false,
            answered: false,
            ever_answered: false,
        }
    }

    pub(super) fn forget_stream(&mut self) {
        self.asked = false;
        self.answered = false;
        let is_missing = |name: &&String| !self.versions.contains_key(*name);
        self.unanswered = self.subscribed.iter().filter(is_missing).cloned().collect();
    }

    /// The first message of a type of which everything is asked for.
    pub(super) fn ask(&mut self) -> DeltaDiscoveryRequest {
        self.ask_for(Vec::new())
    }

    /// On a new stream: all that it is subscribed to. Nothing is said of a type of which no name is wanted.
    pub(super) fn ask_again(&mut self) -> Option<DeltaDiscoveryRequest> {
        let by_name = self.resource_type.subscription() != Subscription::Wildcard;
        if by_name && self.subscribed.is_empty() {
            return None;
        }
        Some(self.ask_for(self.subscribed.iter().cloned().collect()))
    }

    /// Takes in what a response says of resources.
    pub(super) fn keep(&mut self, response: &DeltaDiscoveryResponse) -> Result<(), ProtocolError> {
        let by_name = self.resource_type.subscription() != Subscription::Wildcard;
        for resource in &response.resources {
            if by_name && !self.subscribed.contains(&resource.name) {
                return Err(ProtocolError::NotSubscribed(self.resource_type, resource.name.clone()));
            }
            self.versions.insert(resource.name.clone(), resource.version.clone());
            self.unanswered.remove(&resource.name);
        }
        for name in &response.removed_resources {
            self.versions.remove(name);
            self.unanswered.remove(name);
        }
        self.answered = true;
        self.ever_answered = true;
        Ok(())
    }

    pub(super) fn novelty(&self, response: &DeltaDiscoveryResponse) -> Novelty {
        let is_held = |name: &String, version: &String| self.versions.get(name) == Some(version);
        let same = response.resources.iter().all(|it| is_held(&it.name, &it.version));
        let removes = response.removed_resources.iter().any(|name| self.versions.contains_key(name));
        if same && !removes { Novelty::Known } else { Novelty::New }
    }

    pub(super) fn has_all(&self) -> bool {
        self.unanswered.is_empty()
    }

    /// Whether none of these is still to come.
    pub(super) fn has<'a>(&self, mut names: impl Iterator<Item = &'a String>) -> bool {
        names.all(|name| !self.unanswered.contains(name))
    }

    /// Subscribes to what is `wanted` and not subscribed yet, and gives up what is subscribed and not `needed`; nothing is
    /// said when there is nothing to say.
    pub(super) fn change(
        &mut self,
        wanted: &BTreeSet<String>,
        needed: &BTreeSet<String>,
    ) -> Vec<DeltaDiscoveryRequest> {
        let added: Vec<String> = wanted.difference(&self.subscribed).cloned().collect();
        let given_up: Vec<String> = self.subscribed.difference(needed).cloned().collect();
        for name in &given_up {
            self.subscribed.remove(name);
            self.unanswered.remove(name);
            self.versions.remove(name);
        }
        self.subscribed.extend(added.iter().cloned());
        self.unanswered.extend(added.iter().cloned());
        if self.resource_type.subscription() == Subscription::NameByName {
            let added = added.into_iter().map(|name| (vec![name], Vec::new()));
            let given_up = given_up.into_iter().map(|name| (Vec::new(), vec![name]));
            return added.chain(given_up).map(|(added, given_up)| self.say(added, given_up)).collect();
        }
        if added.is_empty() && given_up.is_empty() {
            return Vec::new();
        }
        vec![self.say(added, given_up)]
    }

    fn say(&mut self, added: Vec<String>, given_up: Vec<String>) -> DeltaDiscoveryRequest {
        let request = if self.asked {
            DeltaDiscoveryRequest { resource_names_subscribe: added, ..self.request() }
        } else {
            self.ask_for(added)
        };
        DeltaDiscoveryRequest { resource_names_unsubscribe: given_up, ..request }
    }

    /// The first message of this type on a stream: it alone says which versions are held.
    fn ask_for(&mut self, names: Vec<String>) -> DeltaDiscoveryRequest {
        self.asked = true;
        DeltaDiscoveryRequest {
            resource_names_subscribe: names,
            initial_resource_versions: self.versions.clone().into_iter().collect(),
            ..self.request()
        }
    }

    fn request(&self) -> DeltaDiscoveryRequest {
        DeltaDiscoveryRequest {
            type_url: self.resource_type.url().to_owned(),
            ..DeltaDiscoveryRequest::default()
        }
    }
}
