//! What the simulated Envoy says, in the words of either protocol.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Moment, Protocol, Request, ResourceType, Response, Session, StateRequest};

/// A request on its way.
pub(super) struct Said {
    pub(super) resource_type: ResourceType,
    /// Whether it acknowledges or refuses a response; other requests may carry a nonce, too.
    pub(super) is_answer: bool,
    request: AnyRequest,
}

enum AnyRequest {
    Delta(Request),
    State(StateRequest),
}

pub(super) struct Words {
    protocol: Protocol,
    legacy_wildcard: bool,
    /// Of whole states: the version accepted last.
    versions: BTreeMap<ResourceType, String>,
    /// Of this stream: the nonce heard last.
    nonces: BTreeMap<ResourceType, String>,
}

impl Said {
    pub(super) fn hear(&self, session: &mut Session, now: Moment) -> Vec<Response> {
        match &self.request {
            AnyRequest::Delta(request) => session.on_request(request, now),
            AnyRequest::State(request) => session.on_state_request(request, now),
        }
    }
}

impl Words {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self { protocol, legacy_wildcard: true, versions: BTreeMap::new(), nonces: BTreeMap::new() }
    }

    pub(super) fn are_whole(&self) -> bool {
        self.protocol == Protocol::StateOfTheWorld
    }

    pub(super) fn are_whole_of(&self, resource_type: ResourceType) -> bool {
        self.are_whole() && resource_type.has_wildcard()
    }

    pub(super) fn connect(&mut self, legacy_wildcard: bool) {
        self.legacy_wildcard = legacy_wildcard;
        self.nonces.clear();
    }

    /// The first request of a type on a stream.
    pub(super) fn first(
        &self,
        resource_type: ResourceType,
        names: &BTreeSet<String>,
        recorded: BTreeMap<String, String>,
    ) -> Said {
        let request = match self.protocol {
            Protocol::Delta => AnyRequest::Delta(Request {
                subscribe: self.with_wildcard(resource_type, names),
                initial_versions: recorded,
                ..delta(resource_type)
            }),
            Protocol::StateOfTheWorld => AnyRequest::State(self.state(resource_type, names)),
        };
        Said { resource_type, is_answer: false, request }
    }

    pub(super) fn hear(&mut self, response: &Response, is_accepted: bool) {
        self.nonces.insert(response.resource_type, response.nonce.to_string());
        if let (true, Some(version)) = (is_accepted, &response.state_version) {
            self.versions.insert(response.resource_type, version.clone());
        }
    }

    pub(super) fn answer(
        &self,
        response: &Response,
        error: Option<String>,
        names: &BTreeSet<String>,
    ) -> Said {
        let resource_type = response.resource_type;
        let response_nonce = response.nonce.to_string();
        let request = match self.protocol {
            Protocol::Delta => AnyRequest::Delta(Request { response_nonce, error, ..delta(resource_type) }),
            Protocol::StateOfTheWorld => {
                AnyRequest::State(StateRequest { response_nonce, error, ..self.state(resource_type, names) })
            }
        };
        Said { resource_type, is_answer: true, request }
    }

    /// What it says when it wants other names; of whole states also when it waits for the same ones `again`.
    pub(super) fn change(
        &self,
        resource_type: ResourceType,
        had: &BTreeSet<String>,
        wanted: &BTreeSet<String>,
        again: bool,
    ) -> Option<Said> {
        let request = match self.protocol {
            Protocol::Delta if had == wanted => return None,
            Protocol::Delta => AnyRequest::Delta(Request {
                subscribe: wanted.difference(had).cloned().collect(),
                unsubscribe: had.difference(wanted).cloned().collect(),
                ..delta(resource_type)
            }),
            Protocol::StateOfTheWorld if had == wanted && (!again || wanted.is_empty()) => return None,
            Protocol::StateOfTheWorld => AnyRequest::State(self.state(resource_type, wanted)),
        };
        Some(Said { resource_type, is_answer: false, request })
    }

    fn state(&self, resource_type: ResourceType, names: &BTreeSet<String>) -> StateRequest {
        StateRequest {
            type_url: resource_type.type_url().to_owned(),
            version: self.versions.get(&resource_type).cloned().unwrap_or_default(),
            response_nonce: self.nonces.get(&resource_type).cloned().unwrap_or_default(),
            error: None,
            names: self.with_wildcard(resource_type, names),
        }
    }

    fn with_wildcard(&self, resource_type: ResourceType, names: &BTreeSet<String>) -> Vec<String> {
        let wildcard = (resource_type.has_wildcard() && !self.legacy_wildcard).then(|| "*".to_owned());
        wildcard.into_iter().chain(names.iter().cloned()).collect()
    }
}

fn delta(resource_type: ResourceType) -> Request {
    Request { type_url: resource_type.type_url().to_owned(), ..Request::default() }
}
