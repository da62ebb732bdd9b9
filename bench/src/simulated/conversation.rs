//! What an Envoy says on a delta stream, as a state machine without I/O.
//!
//! The rules are those of Envoy 1.40 as observed: it asks for clusters first (without names: all of them), for the
//! endpoints of each cluster that has them, for the secrets that a cluster names when its endpoints have come, for listeners
//! only when every cluster is warm, and for the extensions and secrets that listeners wait for. Each name is asked for once,
//! however many name it, and secrets and extensions in a message each. It acknowledges each response by its nonce, but a
//! response of clusters only when these are warm. On a new stream it says again what it is subscribed to, and which
//! versions it holds.
//!
//! In one thing it is quicker: Envoy is subscribed to what a filter chain named until its connections have drained.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

mod holding;
mod needs;
mod resource_type;

use holding::Holding;
use needs::{ClusterNeeds, Endpoints, ListenerNeeds};
pub use resource_type::ResourceType;

pub(super) use needs::tls_context;

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
#[derive(Debug)]
pub(crate) struct Conversation {
    clusters: Holding,
    endpoints: Holding,
    secrets: Holding,
    listeners: Holding,
    extensions: Holding,
    /// Of each cluster, what it names.
    cluster_needs: BTreeMap<String, ClusterNeeds>,
    /// Of each listener, what it names.
    listener_needs: BTreeMap<String, ListenerNeeds>,
    /// Clusters that wait for endpoints.
    without_endpoints: BTreeSet<String>,
    /// Nonces of responses that are acknowledged once every cluster is warm.
    withheld: Vec<String>,
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            clusters: Holding::of(ResourceType::Cluster),
            endpoints: Holding::of(ResourceType::Endpoint),
            secrets: Holding::of(ResourceType::Secret),
            listeners: Holding::of(ResourceType::Listener),
            extensions: Holding::of(ResourceType::Extension),
            cluster_needs: BTreeMap::new(),
            listener_needs: BTreeMap::new(),
            without_endpoints: BTreeSet::new(),
            withheld: Vec::new(),
        }
    }
}

impl Conversation {
    /// The first messages of a new stream.
    pub(crate) fn open(&mut self, node: Node) -> Vec<DeltaDiscoveryRequest> {
        self.without_endpoints.clear();
        self.withheld.clear();
        for resource_type in ResourceType::ALL {
            self.holding_mut(resource_type).forget_stream();
        }
        let mut requests = vec![DeltaDiscoveryRequest { node: Some(node), ..self.clusters.ask() }];
        if self.listeners.ever_answered {
            requests.extend(self.endpoints.ask_again());
            requests.extend(self.secrets.ask_again());
            // Those of clusters whose endpoints were still to come when the last stream ended.
            requests.extend(self.change_secrets());
            requests.extend(self.listeners.ask_again());
            requests.extend(self.extensions.ask_again());
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
        self.holding_mut(resource_type).keep(response)?;
        match resource_type {
            ResourceType::Cluster => self.receive_clusters(response),
            ResourceType::Endpoint => Ok(self.receive_endpoints(response)),
            ResourceType::Secret => Ok(self.receive_secrets(response)),
            ResourceType::Listener => self.receive_listeners(response),
            ResourceType::Extension => Ok(vec![acknowledge(resource_type, &response.nonce)]),
        }
    }

    /// What a response, not yet [received](Self::receive), is to this proxy.
    pub(crate) fn novelty(&self, response: &DeltaDiscoveryResponse) -> Novelty {
        match ResourceType::from_url(&response.type_url) {
            Some(resource_type) => self.holding(resource_type).novelty(response),
            None => Novelty::New,
        }
    }

    /// Whether it has heard, on this stream, of clusters and listeners, and has everything that it asks for by name: a proxy
    /// that carries traffic.
    pub(crate) fn is_configured(&self) -> bool {
        self.clusters.answered
            && self.listeners.answered
            && self.are_clusters_warm()
            && self.endpoints.has_all()
            && self.secrets.has_all()
            && self.extensions.has_all()
    }

    fn holding(&self, resource_type: ResourceType) -> &Holding {
        match resource_type {
            ResourceType::Cluster => &self.clusters,
            ResourceType::Endpoint => &self.endpoints,
            ResourceType::Secret => &self.secrets,
            ResourceType::Listener => &self.listeners,
            ResourceType::Extension => &self.extensions,
        }
    }

    fn holding_mut(&mut self, resource_type: ResourceType) -> &mut Holding {
        match resource_type {
            ResourceType::Cluster => &mut self.clusters,
            ResourceType::Endpoint => &mut self.endpoints,
            ResourceType::Secret => &mut self.secrets,
            ResourceType::Listener => &mut self.listeners,
            ResourceType::Extension => &mut self.extensions,
        }
    }

    fn receive_clusters(
        &mut self,
        response: &DeltaDiscoveryResponse,
    ) -> Result<Vec<DeltaDiscoveryRequest>, ProtocolError> {
        for resource in &response.resources {
            let needs = needs::of_cluster(resource)?;
            if needs.endpoints == Endpoints::Discovered {
                self.without_endpoints.insert(resource.name.clone());
            } else {
                self.without_endpoints.remove(&resource.name);
            }
            self.cluster_needs.insert(resource.name.clone(), needs);
        }
        for name in &response.removed_resources {
            self.without_endpoints.remove(name);
            self.cluster_needs.remove(name);
        }
        let discovers = |(_, needs): &(&String, &ClusterNeeds)| needs.endpoints == Endpoints::Discovered;
        let needed = self.cluster_needs.iter().filter(discovers).map(|(name, _)| name.clone()).collect();

        let mut requests = self.endpoints.change(&self.without_endpoints, &needed);
        requests.extend(self.change_secrets());
        self.withheld.push(response.nonce.clone());
        requests.extend(self.when_warm());
        Ok(requests)
    }

    fn receive_endpoints(&mut self, response: &DeltaDiscoveryResponse) -> Vec<DeltaDiscoveryRequest> {
        for name in response.resources.iter().map(|it| &it.name).chain(&response.removed_resources) {
            self.without_endpoints.remove(name);
        }
        let mut requests = self.change_secrets();
        requests.push(acknowledge(ResourceType::Endpoint, &response.nonce));
        requests.extend(self.when_warm());
        requests
    }

    fn receive_secrets(&mut self, response: &DeltaDiscoveryResponse) -> Vec<DeltaDiscoveryRequest> {
        let mut requests = vec![acknowledge(ResourceType::Secret, &response.nonce)];
        requests.extend(self.when_warm());
        requests
    }

    fn receive_listeners(
        &mut self,
        response: &DeltaDiscoveryResponse,
    ) -> Result<Vec<DeltaDiscoveryRequest>, ProtocolError> {
        for resource in &response.resources {
            self.listener_needs.insert(resource.name.clone(), needs::of_listener(resource)?);
        }
        for name in &response.removed_resources {
            self.listener_needs.remove(name);
        }
        let needed = self.listener_needs.values().flat_map(|it| &it.extensions).cloned().collect();

        let mut requests = self.extensions.change(&needed, &needed);
        requests.extend(self.change_secrets());
        requests.push(acknowledge(ResourceType::Listener, &response.nonce));
        Ok(requests)
    }

    /// Asks for the secrets of listeners, and of clusters that have their endpoints, and gives up those that nobody names.
    fn change_secrets(&mut self) -> Vec<DeltaDiscoveryRequest> {
        let of_listeners = self.listener_needs.values().flat_map(|it| &it.secrets);
        let of_clusters = self.cluster_needs.values().flat_map(|it| &it.secrets);
        let has_endpoints =
            |(name, _): &(&String, &ClusterNeeds)| !self.without_endpoints.contains(name.as_str());
        let of_ready = self.cluster_needs.iter().filter(has_endpoints).flat_map(|(_, needs)| &needs.secrets);
        let wanted = of_listeners.clone().chain(of_ready).cloned().collect();
        let needed = of_listeners.chain(of_clusters).cloned().collect();
        self.secrets.change(&wanted, &needed)
    }

    fn are_clusters_warm(&self) -> bool {
        self.without_endpoints.is_empty()
            && self.secrets.has(self.cluster_needs.values().flat_map(|it| &it.secrets))
    }

    /// What was held back while clusters were warming.
    fn when_warm(&mut self) -> Vec<DeltaDiscoveryRequest> {
        if !self.are_clusters_warm() {
            return Vec::new();
        }
        let nonces = std::mem::take(&mut self.withheld);
        let mut requests: Vec<_> =
            nonces.iter().map(|nonce| acknowledge(ResourceType::Cluster, nonce)).collect();
        if !self.listeners.asked {
            requests.push(self.listeners.ask());
        }
        requests
    }
}

fn acknowledge(resource_type: ResourceType, nonce: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: resource_type.url().to_owned(),
        response_nonce: nonce.to_owned(),
        ..DeltaDiscoveryRequest::default()
    }
}

#[cfg(test)]
mod tests;
