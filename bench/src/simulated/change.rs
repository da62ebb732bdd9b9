//! How a proxy recognises in what it receives that a write has reached it.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::{Address, TypedExtensionConfig, address, socket_address};
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, lb_endpoint::HostIdentifier};
use envoy_types::pb::envoy::config::listener::v3::{FilterChain, Listener};
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy, tcp_proxy::ClusterSpecifier,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, DownstreamTlsContext, common_tls_context::ValidationContextType,
};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use prost::Message;

use super::conversation::{ResourceType, tls_context};
use super::topology::MESH;

/// The trace of one write in a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The assignment of `cluster` contains `endpoint`.
    EndpointAdded { cluster: String, endpoint: SocketAddr },
    /// The assignment of `cluster` no longer contains `endpoint`.
    EndpointRemoved { cluster: String, endpoint: SocketAddr },
    /// The TCP proxy filter of `listener` gives `weight` to `cluster`.
    Split { listener: String, cluster: String, weight: u32 },
    /// The inbound has a filter chain for `source` alone, and its RBAC filter a policy of the permission's name.
    PermissionGranted { permission: String, source: String },
    /// Neither is there.
    PermissionRevoked { permission: String, source: String },
}

impl Change {
    /// In responses of which types it comes: in one of each.
    pub(crate) fn carriers(&self) -> &'static [ResourceType] {
        match self {
            Self::EndpointAdded { .. } | Self::EndpointRemoved { .. } => &[ResourceType::Endpoint],
            Self::Split { .. } => &[ResourceType::Extension],
            Self::PermissionGranted { .. } | Self::PermissionRevoked { .. } => {
                &[ResourceType::Listener, ResourceType::Extension]
            }
        }
    }

    /// Whether this response brings the change, as far as its type does.
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
            Self::PermissionGranted { permission, source } => {
                lets_in(response, permission, source) == Some(true)
            }
            Self::PermissionRevoked { permission, source } => {
                lets_in(response, permission, source) == Some(false)
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
    find_resource(response, |it| it == name)
}

/// The message of the first resource with such a name.
fn find_resource<M: Message + Default>(
    response: &DeltaDiscoveryResponse,
    is_wanted: impl Fn(&str) -> bool,
) -> Option<M> {
    let resource = response.resources.iter().find(|resource| is_wanted(&resource.name))?;
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

/// Whether the inbound in this response knows the source, or its RBAC filter the permission; `None` if neither is in it.
fn lets_in(response: &DeltaDiscoveryResponse, permission: &str, source: &str) -> Option<bool> {
    match ResourceType::from_url(&response.type_url)? {
        ResourceType::Listener => {
            let inbound: Listener = find_resource(response, |it| it.starts_with("inbound:"))?;
            Some(inbound.filter_chains.iter().any(|chain| is_of_source(chain, source)))
        }
        ResourceType::Extension => {
            let extension: TypedExtensionConfig =
                find_resource(response, |it| it.starts_with("rbac:inbound:"))?;
            let filter = Rbac::decode(extension.typed_config?.value.as_slice()).ok()?;
            Some(filter.rules?.policies.contains_key(permission))
        }
        _ => None,
    }
}

/// Whether it is found by the name of one source, and lets in the certificates of this one alone.
fn is_of_source(chain: &FilterChain, source: &str) -> bool {
    let has_name = chain.filter_chain_match.as_ref().is_some_and(|it| !it.server_names.is_empty());
    let identity = MatchPattern::Exact(format!("spiffe://{MESH}/{source}"));
    has_name && peers(chain).is_some_and(|peers| peers == [identity])
}

/// Whose certificates a filter chain lets in.
fn peers(chain: &FilterChain) -> Option<Vec<MatchPattern>> {
    let context: DownstreamTlsContext = tls_context(chain.transport_socket.as_ref()?)?;
    let ValidationContextType::CombinedValidationContext(combined) =
        context.common_tls_context?.validation_context_type?
    else {
        return None;
    };
    let CertificateValidationContext { match_typed_subject_alt_names, .. } =
        combined.default_validation_context?;
    match_typed_subject_alt_names.into_iter().map(|name| name.matcher?.match_pattern).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use envoy_types::pb::envoy::config::core::v3::SocketAddress;
    use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket};
    use envoy_types::pb::envoy::config::endpoint::v3::{Endpoint, LbEndpoint, LocalityLbEndpoints};
    use envoy_types::pb::envoy::config::listener::v3::FilterChainMatch;
    use envoy_types::pb::envoy::config::rbac::v3::{Policy, Rbac as Rules};
    use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
        WeightedCluster, weighted_cluster::ClusterWeight,
    };
    use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
        CommonTlsContext, SubjectAltNameMatcher, common_tls_context::CombinedCertificateValidationContext,
    };
    use envoy_types::pb::envoy::service::discovery::v3::Resource;
    use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
    use envoy_types::pb::google::protobuf::Any;
    use envoy_types::util::pack_any;

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

    /// A chain for each source, and a last one for all of them.
    pub(crate) fn inbound(sources: &[&str]) -> DeltaDiscoveryResponse {
        let chains = sources.iter().map(|source| chain(&[source], &[source]));
        let listener =
            Listener { filter_chains: chains.chain([chain(&[], sources)]).collect(), ..Listener::default() };
        response(ResourceType::Listener, "inbound:10.0.0.1:8080", &listener)
    }

    fn chain(server_names: &[&str], sources: &[&str]) -> FilterChain {
        let peer = |source: &&str| {
            let identity = MatchPattern::Exact(format!("spiffe://default/{source}"));
            let matcher = Some(StringMatcher { match_pattern: Some(identity), ..StringMatcher::default() });
            SubjectAltNameMatcher { matcher, ..SubjectAltNameMatcher::default() }
        };
        let peers = CertificateValidationContext {
            match_typed_subject_alt_names: sources.iter().map(peer).collect(),
            ..CertificateValidationContext::default()
        };
        let validation = CombinedCertificateValidationContext {
            default_validation_context: Some(peers),
            ..CombinedCertificateValidationContext::default()
        };
        let tls = CommonTlsContext {
            validation_context_type: Some(ValidationContextType::CombinedValidationContext(validation)),
            ..CommonTlsContext::default()
        };
        let context =
            DownstreamTlsContext { common_tls_context: Some(tls), ..DownstreamTlsContext::default() };
        let config_type = Some(transport_socket::ConfigType::TypedConfig(pack_any(context)));
        FilterChain {
            filter_chain_match: Some(FilterChainMatch {
                server_names: server_names.iter().map(|&it| it.to_owned()).collect(),
                ..FilterChainMatch::default()
            }),
            transport_socket: Some(TransportSocket { config_type, ..TransportSocket::default() }),
            ..FilterChain::default()
        }
    }

    /// An RBAC filter with policies of these names.
    pub(crate) fn policies(names: &[&str]) -> DeltaDiscoveryResponse {
        let policies = names.iter().map(|&name| (name.to_owned(), Policy::default())).collect();
        let filter = Rbac { rules: Some(Rules { policies, ..Rules::default() }), ..Rbac::default() };
        let extension =
            TypedExtensionConfig { typed_config: Some(any(&filter)), ..TypedExtensionConfig::default() };
        response(ResourceType::Extension, "rbac:inbound:10.0.0.1:8080", &extension)
    }

    #[test]
    fn a_permission_is_recognised_by_a_chain_for_its_source_and_by_a_policy_of_its_name() {
        let (permission, source) = ("bench".to_owned(), "web".to_owned());
        let granted = Change::PermissionGranted { permission: permission.clone(), source: source.clone() };
        let revoked = Change::PermissionRevoked { permission, source };
        let carriers = [ResourceType::Listener, ResourceType::Extension];
        assert_eq!((granted.carriers(), revoked.carriers()), (&carriers[..], &carriers[..]));
        let only_among_others = response(
            ResourceType::Listener,
            "inbound:10.0.0.1:8080",
            &Listener { filter_chains: vec![chain(&[], &["web"])], ..Listener::default() },
        );
        for (response, is_granted, is_revoked) in [
            (inbound(&["api", "web"]), true, false),
            (inbound(&["api"]), false, true),
            (only_among_others, false, true),
            (policies(&["bench", "everybody"]), true, false),
            (policies(&["everybody"]), false, true),
            (split("outbound", &[("web", 50)]), false, false),
            (endpoints("web", &[]), false, false),
        ] {
            assert_eq!(granted.is_in(&response), is_granted, "{response:?}");
            assert_eq!(revoked.is_in(&response), is_revoked, "{response:?}");
        }
    }
}
