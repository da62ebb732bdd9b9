//! How a proxy recognises in what it receives that a write has reached it.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::{Address, TypedExtensionConfig, address, socket_address};
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, lb_endpoint::HostIdentifier};
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy, tcp_proxy::ClusterSpecifier,
};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use prost::Message;

use super::conversation::ResourceType;

/// The trace of one write in a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
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

#[cfg(test)]
pub(crate) mod tests {
    use envoy_types::pb::envoy::config::core::v3::SocketAddress;
    use envoy_types::pb::envoy::config::endpoint::v3::{Endpoint, LbEndpoint, LocalityLbEndpoints};
    use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
        WeightedCluster, weighted_cluster::ClusterWeight,
    };
    use envoy_types::pb::envoy::service::discovery::v3::Resource;
    use envoy_types::pb::google::protobuf::Any;

    use super::*;

    /// The endpoints of one cluster, as a control plane sends them.
    pub(crate) fn endpoints(cluster: &str, addresses: &[&str]) -> DeltaDiscoveryResponse {
        let lb_endpoints = addresses.iter().map(|address| {
            let address: SocketAddr = address.parse().expect("an address");
            let socket = SocketAddress {
                address: address.ip().to_string(),
                port_specifier: Some(socket_address::PortSpecifier::PortValue(address.port().into())),
                ..SocketAddress::default()
            };
            let address = Address { address: Some(address::Address::SocketAddress(socket)) };
            let endpoint = Endpoint { address: Some(address), ..Endpoint::default() };
            LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..LbEndpoint::default() }
        });
        let group =
            LocalityLbEndpoints { lb_endpoints: lb_endpoints.collect(), ..LocalityLbEndpoints::default() };
        let assignment = ClusterLoadAssignment { endpoints: vec![group], ..ClusterLoadAssignment::default() };
        response(ResourceType::Endpoint, cluster, &assignment)
    }

    fn split(listener: &str, parts: &[(&str, u32)]) -> DeltaDiscoveryResponse {
        let weight = |(name, weight): &(&str, u32)| ClusterWeight {
            name: (*name).to_owned(),
            weight: *weight,
            ..ClusterWeight::default()
        };
        let clusters = WeightedCluster { clusters: parts.iter().map(weight).collect() };
        let filter = TcpProxy {
            cluster_specifier: Some(ClusterSpecifier::WeightedClusters(clusters)),
            ..TcpProxy::default()
        };
        let extension =
            TypedExtensionConfig { typed_config: Some(any(&filter)), ..TypedExtensionConfig::default() };
        response(ResourceType::Extension, &format!("tcp:{listener}"), &extension)
    }

    fn response(resource_type: ResourceType, name: &str, message: &impl Message) -> DeltaDiscoveryResponse {
        let resource =
            Resource { name: name.to_owned(), resource: Some(any(message)), ..Resource::default() };
        DeltaDiscoveryResponse {
            type_url: resource_type.url().to_owned(),
            resources: vec![resource],
            ..DeltaDiscoveryResponse::default()
        }
    }

    fn any(message: &impl Message) -> Any {
        Any { type_url: String::new(), value: message.encode_to_vec() }
    }

    #[test]
    fn a_change_is_recognised_by_its_content() {
        let check = |change: &Change, response: &DeltaDiscoveryResponse, expected: bool| {
            assert_eq!(change.is_in(response), expected, "{change:?}");
        };
        let (cluster, endpoint) = ("web".to_owned(), "10.0.0.2:8080".parse().expect("an address"));
        let added = Change::EndpointAdded { cluster: cluster.clone(), endpoint };
        let removed = Change::EndpointRemoved { cluster, endpoint };
        let with = endpoints("web", &["10.0.0.1:8080", "10.0.0.2:8080"]);
        let without = endpoints("web", &["10.0.0.1:8080", "10.0.0.2:8081"]);
        check(&added, &with, true);
        check(&added, &without, false);
        check(&removed, &with, false);
        check(&removed, &without, true);
        let another = endpoints("db", &[]);
        check(&removed, &another, false);

        let (listener, cluster) = ("outbound".to_owned(), "web".to_owned());
        let halves = Change::Split { listener, cluster, weight: 50 };
        check(&halves, &split("outbound", &[("db", 50), ("web", 50)]), true);
        check(&halves, &split("outbound", &[("db", 50), ("web", 49)]), false);
        check(&halves, &split("inbound", &[("web", 50)]), false);
        check(&halves, &with, false);
    }
}
