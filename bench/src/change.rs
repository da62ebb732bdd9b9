//! How a proxy recognises in what it receives that a write has reached it.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::{Address, TypedExtensionConfig, address, socket_address};
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, lb_endpoint::HostIdentifier};
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy, tcp_proxy::ClusterSpecifier,
};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use prost::Message;

use crate::conversation::ResourceType;

/// The trace of one write in a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The assignment of `cluster` contains `endpoint`.
    EndpointAdded { cluster: String, endpoint: SocketAddr },
    /// The assignment of `cluster` no longer contains `endpoint`.
    EndpointRemoved { cluster: String, endpoint: SocketAddr },
    /// The TCP proxy filter of `listener` gives `weight` to `cluster`.
    Split { listener: String, cluster: String, weight: u32 },
}

impl Change {
    /// Whether this response brings the change.
    pub(crate) fn is_in(&self, response: &DeltaDiscoveryResponse) -> bool {
        match self {
            Self::EndpointAdded { cluster, endpoint } => {
                endpoints(response, cluster).is_some_and(|them| them.contains(endpoint))
            }
            Self::EndpointRemoved { cluster, endpoint } => {
                endpoints(response, cluster).is_some_and(|them| !them.contains(endpoint))
            }
            Self::Split { listener, cluster, weight } => {
                weights(response, listener).is_some_and(|them| them.contains(&(cluster.clone(), *weight)))
            }
        }
    }
}

/// The named resource's message, if the response has it.
fn resource<M: Message + Default>(
    response: &DeltaDiscoveryResponse,
    resource_type: ResourceType,
    name: &str,
) -> Option<M> {
    if response.type_url != resource_type.url() {
        return None;
    }
    let resource = response.resources.iter().find(|resource| resource.name == name)?;
    M::decode(resource.resource.as_ref()?.value.as_slice()).ok()
}

fn endpoints(response: &DeltaDiscoveryResponse, cluster: &str) -> Option<Vec<SocketAddr>> {
    let assignment: ClusterLoadAssignment = resource(response, ResourceType::Endpoint, cluster)?;
    let all = assignment.endpoints.into_iter().flat_map(|group| group.lb_endpoints);
    Some(
        all.filter_map(|endpoint| match endpoint.host_identifier? {
            HostIdentifier::Endpoint(endpoint) => socket_address(endpoint.address?),
            HostIdentifier::EndpointName(_) => None,
        })
        .collect(),
    )
}

fn socket_address(address: Address) -> Option<SocketAddr> {
    let Some(address::Address::SocketAddress(socket)) = address.address else {
        return None;
    };
    let Some(socket_address::PortSpecifier::PortValue(port)) = socket.port_specifier else {
        return None;
    };
    Some(SocketAddr::new(socket.address.parse().ok()?, u16::try_from(port).ok()?))
}

fn weights(response: &DeltaDiscoveryResponse, listener: &str) -> Option<Vec<(String, u32)>> {
    let name = format!("tcp:{listener}");
    let extension: TypedExtensionConfig = resource(response, ResourceType::Extension, &name)?;
    let filter = TcpProxy::decode(extension.typed_config?.value.as_slice()).ok()?;
    Some(match filter.cluster_specifier? {
        ClusterSpecifier::Cluster(cluster) => vec![(cluster, 100)],
        ClusterSpecifier::WeightedClusters(split) => {
            split.clusters.into_iter().map(|part| (part.name, part.weight)).collect()
        }
    })
}
