//! What a cluster or a listener cannot do without: the resources that it names, and that come apart from it.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::cluster::v3::{
    Cluster,
    cluster::{ClusterDiscoveryType, DiscoveryType},
};
use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket};
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter, listener_filter};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, UpstreamTlsContext,
    common_tls_context::ValidationContextType,
};
use envoy_types::pb::envoy::service::discovery::v3::Resource;
use prost::{Message, Name};

use super::{ProtocolError, ResourceType};

#[derive(Debug, Default)]
pub(super) struct ClusterNeeds {
    pub(super) endpoints: Endpoints,
    pub(super) secrets: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Endpoints {
    #[default]
    Inline,
    /// Asked for under the cluster's name.
    Discovered,
}

#[derive(Debug, Default)]
pub(super) struct ListenerNeeds {
    pub(super) extensions: BTreeSet<String>,
    pub(super) secrets: BTreeSet<String>,
}

pub(super) fn of_cluster(resource: &Resource) -> Result<ClusterNeeds, ProtocolError> {
    let undecodable = || ProtocolError::Undecodable(ResourceType::Cluster, resource.name.clone());
    let cluster: Cluster = decode(resource).ok_or_else(undecodable)?;
    let discovered = Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into()));
    let endpoints =
        if cluster.cluster_discovery_type == discovered { Endpoints::Discovered } else { Endpoints::Inline };
    let secrets = match &cluster.transport_socket {
        Some(socket) => upstream_secrets(socket).ok_or_else(undecodable)?,
        None => BTreeSet::new(),
    };
    Ok(ClusterNeeds { endpoints, secrets })
}

pub(super) fn of_listener(resource: &Resource) -> Result<ListenerNeeds, ProtocolError> {
    let undecodable = || ProtocolError::Undecodable(ResourceType::Listener, resource.name.clone());
    let listener: Listener = decode(resource).ok_or_else(undecodable)?;
    let mut needs = ListenerNeeds::default();
    for filter in listener.listener_filters {
        if matches!(filter.config_type, Some(listener_filter::ConfigType::ConfigDiscovery(_))) {
            needs.extensions.insert(filter.name);
        }
    }
    for chain in listener.filter_chains.into_iter().chain(listener.default_filter_chain) {
        if let Some(socket) = &chain.transport_socket {
            needs.secrets.extend(downstream_secrets(socket).ok_or_else(undecodable)?);
        }
        for filter in chain.filters {
            if matches!(filter.config_type, Some(filter::ConfigType::ConfigDiscovery(_))) {
                needs.extensions.insert(filter.name);
            }
        }
    }
    Ok(needs)
}

fn upstream_secrets(socket: &TransportSocket) -> Option<BTreeSet<String>> {
    let context: UpstreamTlsContext = tls_context(socket)?;
    Some(discovered_secrets(context.common_tls_context.unwrap_or_default()))
}

fn downstream_secrets(socket: &TransportSocket) -> Option<BTreeSet<String>> {
    let context: DownstreamTlsContext = tls_context(socket)?;
    Some(discovered_secrets(context.common_tls_context.unwrap_or_default()))
}

/// `None` for any other transport socket: an Envoy without it refuses what has one.
pub(in super::super) fn tls_context<M: Message + Name + Default>(socket: &TransportSocket) -> Option<M> {
    let Some(transport_socket::ConfigType::TypedConfig(context)) = &socket.config_type else { return None };
    if context.type_url != M::type_url() {
        return None;
    }
    M::decode(context.value.as_slice()).ok()
}

/// Those without a source are part of the bootstrap, and nobody has to be asked for them.
fn discovered_secrets(context: CommonTlsContext) -> BTreeSet<String> {
    let validation = match context.validation_context_type {
        Some(ValidationContextType::ValidationContextSdsSecretConfig(secret)) => Some(secret),
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            combined.validation_context_sds_secret_config
        }
        _ => None,
    };
    let named = context.tls_certificate_sds_secret_configs.into_iter().chain(validation);
    named.filter(|secret| secret.sds_config.is_some()).map(|SdsSecretConfig { name, .. }| name).collect()
}

fn decode<M: Message + Default>(resource: &Resource) -> Option<M> {
    M::decode(resource.resource.as_ref()?.value.as_slice()).ok()
}
