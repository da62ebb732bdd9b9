//! What an Envoy says on a delta stream, as a state machine without I/O.
//!
//! The rules are those of Envoy 1.40 as observed: it asks for clusters first (without names: all of them), for the
//! endpoints of each cluster that has them, for listeners only when every cluster is warm, and for the extensions that
//! listeners wait for. It acknowledges each response by its nonce, but a response of clusters only when these are warm.
//! On a new stream it says again what it is subscribed to, and which versions it holds.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::cluster::v3::{
    Cluster,
    cluster::{ClusterDiscoveryType, DiscoveryType},
};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter::ConfigType};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};
use prost::Message;

/// The resource types of a mesh without mutual TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceType {
    Cluster,
    Endpoint,
    Listener,
    Extension,
}

impl ResourceType {
    pub(crate) const ALL: [Self; 4] = [Self::Cluster, Self::Endpoint, Self::Listener, Self::Extension];

    pub(crate) const fn url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Extension => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    pub(crate) fn from_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.url() == url)
    }
}

/// Whether a response says more than its receiver knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Novelty {
    /// Every resource in it is held in the same version, and nothing that is held is removed.
    Known,
    New,
}

/// What a control plane may not send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error("a response of the type {0:?}, which was not asked for")]
    UnknownType(String),
    #[error("the {0:?} {1:?}, which was not asked for")]
    NotSubscribed(ResourceType, String),
    #[error("the {0:?} {1:?}, which does not decode")]
    Undecodable(ResourceType, String),
}

/// One proxy's state, which outlives its streams.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    clusters: Holding,
    endpoints: Holding,
    listeners: Holding,
    extensions: Holding,
    /// Clusters that wait for endpoints.
    warming: BTreeSet<String>,
    /// Nonces of responses that are acknowledged once nothing is warming.
    withheld: Vec<String>,
    /// The extensions that each listener waits for.
    extensions_of: BTreeMap<String, BTreeSet<String>>,
}

/// What is held of one type, and what is asked for.
#[derive(Debug, Default)]
struct Holding {
    versions: BTreeMap<String, String>,
    /// Asked for by name; always empty for the types of which everything is asked for.
    subscribed: BTreeSet<String>,
    /// Subscribed and not held yet.
    unanswered: BTreeSet<String>,
    /// Asked for at all on this stream.
    asked: bool,
    /// Answered at all on this stream.
    answered: bool,
    /// Answered at least once, on any stream.
    ever_answered: bool,
}

impl Conversation {
    /// The first messages of a new stream.
    pub(crate) fn open(&mut self, node: Node) -> Vec<DeltaDiscoveryRequest> {
        self.warming.clear();
        self.withheld.clear();
        for resource_type in ResourceType::ALL {
            self.holding_mut(resource_type).forget_stream();
        }
        let mut requests = vec![DeltaDiscoveryRequest {
            node: Some(node),
            ..self.clusters.ask(ResourceType::Cluster, Vec::new())
        }];
        if !self.listeners.ever_answered {
            return requests;
        }
        for resource_type in [ResourceType::Endpoint, ResourceType::Listener, ResourceType::Extension] {
            let holding = self.holding_mut(resource_type);
            let names = holding.subscribed.iter().cloned().collect();
            requests.push(holding.ask(resource_type, names));
        }
        requests
    }

    /// Takes a response in, and returns what to say to it.
    pub(crate) fn receive(
        &mut self,
        response: &DeltaDiscoveryResponse,
    ) -> Result<Vec<DeltaDiscoveryRequest>, ProtocolError> {
        let resource_type = ResourceType::from_url(&response.type_url)
            .ok_or_else(|| ProtocolError::UnknownType(response.type_url.clone()))?;
        self.keep(resource_type, response)?;
        match resource_type {
            ResourceType::Cluster => self.receive_clusters(response),
            ResourceType::Endpoint => Ok(self.receive_endpoints(response)),
            ResourceType::Listener => self.receive_listeners(response),
            ResourceType::Extension => Ok(vec![acknowledge(resource_type, &response.nonce)]),
        }
    }

    /// What a response, not yet [received](Self::receive), is to this proxy.
    pub(crate) fn novelty(&self, response: &DeltaDiscoveryResponse) -> Novelty {
        let Some(resource_type) = ResourceType::from_url(&response.type_url) else { return Novelty::New };
        let held = &self.holding(resource_type).versions;
        let same = response.resources.iter().all(|it| held.get(&it.name) == Some(&it.version));
        let removes = response.removed_resources.iter().any(|name| held.contains_key(name));
        if same && !removes { Novelty::Known } else { Novelty::New }
    }

    /// Whether it has heard, on this stream, of clusters and listeners, and has everything that it asks for by name: a proxy
    /// that carries traffic.
    pub(crate) fn is_configured(&self) -> bool {
        self.clusters.answered
            && self.listeners.answered
            && self.warming.is_empty()
            && self.endpoints.unanswered.is_empty()
            && self.extensions.unanswered.is_empty()
    }

    fn holding(&self, resource_type: ResourceType) -> &Holding {
        match resource_type {
            ResourceType::Cluster => &self.clusters,
            ResourceType::Endpoint => &self.endpoints,
            ResourceType::Listener => &self.listeners,
            ResourceType::Extension => &self.extensions,
        }
    }

    fn holding_mut(&mut self, resource_type: ResourceType) -> &mut Holding {
        match resource_type {
            ResourceType::Cluster => &mut self.clusters,
            ResourceType::Endpoint => &mut self.endpoints,
            ResourceType::Listener => &mut self.listeners,
            ResourceType::Extension => &mut self.extensions,
        }
    }

    fn keep(
        &mut self,
        resource_type: ResourceType,
        response: &DeltaDiscoveryResponse,
    ) -> Result<(), ProtocolError> {
        let by_name = matches!(resource_type, ResourceType::Endpoint | ResourceType::Extension);
        let holding = self.holding_mut(resource_type);
        for resource in &response.resources {
            if by_name && !holding.subscribed.contains(&resource.name) {
                return Err(ProtocolError::NotSubscribed(resource_type, resource.name.clone()));
            }
            holding.versions.insert(resource.name.clone(), resource.version.clone());
            holding.unanswered.remove(&resource.name);
        }
        for name in &response.removed_resources {
            holding.versions.remove(name);
            holding.unanswered.remove(name);
        }
        holding.answered = true;
        holding.ever_answered = true;
        Ok(())
    }

    fn receive_clusters(
        &mut self,
        response: &DeltaDiscoveryResponse,
    ) -> Result<Vec<DeltaDiscoveryRequest>, ProtocolError> {
        for resource in &response.resources {
            if has_discovered_endpoints(resource)? {
                self.warming.insert(resource.name.clone());
            }
        }
        for name in &response.removed_resources {
            self.warming.remove(name);
        }
        let wanted = self.warming.difference(&self.endpoints.subscribed).cloned().collect();
        let unwanted =
            response.removed_resources.iter().filter(|name| self.endpoints.subscribed.contains(*name));
        let unwanted = unwanted.cloned().collect();

        let mut requests = Vec::new();
        requests.extend(self.endpoints.change(ResourceType::Endpoint, wanted, unwanted));
        self.withheld.push(response.nonce.clone());
        requests.extend(self.when_warm());
        Ok(requests)
    }

    fn receive_endpoints(&mut self, response: &DeltaDiscoveryResponse) -> Vec<DeltaDiscoveryRequest> {
        for name in response.resources.iter().map(|it| &it.name).chain(&response.removed_resources) {
            self.warming.remove(name);
        }
        let mut requests = vec![acknowledge(ResourceType::Endpoint, &response.nonce)];
        requests.extend(self.when_warm());
        requests
    }

    fn receive_listeners(
        &mut self,
        response: &DeltaDiscoveryResponse,
    ) -> Result<Vec<DeltaDiscoveryRequest>, ProtocolError> {
        for resource in &response.resources {
            self.extensions_of.insert(resource.name.clone(), awaited_extensions(resource)?);
        }
        for name in &response.removed_resources {
            self.extensions_of.remove(name);
        }
        let needed: BTreeSet<String> = self.extensions_of.values().flatten().cloned().collect();
        let wanted = needed.difference(&self.extensions.subscribed).cloned().collect();
        let unwanted = self.extensions.subscribed.difference(&needed).cloned().collect();

        let mut requests = Vec::new();
        requests.extend(self.extensions.change(ResourceType::Extension, wanted, unwanted));
        requests.push(acknowledge(ResourceType::Listener, &response.nonce));
        Ok(requests)
    }

    /// What was held back while clusters were warming.
    fn when_warm(&mut self) -> Vec<DeltaDiscoveryRequest> {
        if !self.warming.is_empty() {
            return Vec::new();
        }
        let nonces = std::mem::take(&mut self.withheld);
        let mut requests: Vec<_> =
            nonces.iter().map(|nonce| acknowledge(ResourceType::Cluster, nonce)).collect();
        if !self.listeners.asked {
            requests.push(self.listeners.ask(ResourceType::Listener, Vec::new()));
        }
        requests
    }
}

impl Holding {
    fn forget_stream(&mut self) {
        self.asked = false;
        self.answered = false;
        let is_missing = |name: &&String| !self.versions.contains_key(*name);
        self.unanswered = self.subscribed.iter().filter(is_missing).cloned().collect();
    }

    /// The first message of this type on a stream: it alone says which versions are held.
    fn ask(&mut self, resource_type: ResourceType, names: Vec<String>) -> DeltaDiscoveryRequest {
        self.asked = true;
        DeltaDiscoveryRequest {
            type_url: resource_type.url().to_owned(),
            resource_names_subscribe: names,
            initial_resource_versions: self.versions.clone().into_iter().collect(),
            ..DeltaDiscoveryRequest::default()
        }
    }

    /// Subscribes to some names and gives others up; nothing is said when there is nothing to say.
    fn change(
        &mut self,
        resource_type: ResourceType,
        wanted: Vec<String>,
        unwanted: Vec<String>,
    ) -> Option<DeltaDiscoveryRequest> {
        if wanted.is_empty() && unwanted.is_empty() {
            return None;
        }
        for name in &unwanted {
            self.subscribed.remove(name);
            self.unanswered.remove(name);
            self.versions.remove(name);
        }
        self.subscribed.extend(wanted.iter().cloned());
        self.unanswered.extend(wanted.iter().cloned());
        let first = !self.asked;
        let mut request = DeltaDiscoveryRequest {
            type_url: resource_type.url().to_owned(),
            resource_names_subscribe: wanted,
            ..DeltaDiscoveryRequest::default()
        };
        if first {
            request = self.ask(resource_type, request.resource_names_subscribe);
        }
        Some(DeltaDiscoveryRequest { resource_names_unsubscribe: unwanted, ..request })
    }
}

fn acknowledge(resource_type: ResourceType, nonce: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: resource_type.url().to_owned(),
        response_nonce: nonce.to_owned(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn has_discovered_endpoints(resource: &Resource) -> Result<bool, ProtocolError> {
    let cluster: Cluster = decode(ResourceType::Cluster, resource)?;
    Ok(cluster.cluster_discovery_type == Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())))
}

fn awaited_extensions(resource: &Resource) -> Result<BTreeSet<String>, ProtocolError> {
    let listener: Listener = decode(ResourceType::Listener, resource)?;
    let chains = listener.filter_chains.into_iter().chain(listener.default_filter_chain);
    let filters = chains.flat_map(|chain| chain.filters);
    Ok(filters
        .filter(|filter| matches!(filter.config_type, Some(ConfigType::ConfigDiscovery(_))))
        .map(|filter| filter.name)
        .collect())
}

fn decode<M: Message + Default>(
    resource_type: ResourceType,
    resource: &Resource,
) -> Result<M, ProtocolError> {
    let undecodable = || ProtocolError::Undecodable(resource_type, resource.name.clone());
    let any = resource.resource.as_ref().ok_or_else(undecodable)?;
    M::decode(any.value.as_slice()).map_err(|_| undecodable())
}

#[cfg(test)]
mod tests;
