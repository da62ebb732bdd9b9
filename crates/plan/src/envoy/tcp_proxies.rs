//! What becomes of the connections of a listener: a TCP proxy filter, delivered apart from it (ECDS).

use envoy_types::{
    pb::envoy::{
        config::core::v3::TypedExtensionConfig,
        extensions::filters::network::tcp_proxy::v3::{
            TcpProxy,
            tcp_proxy::{
                ClusterSpecifier, WeightedCluster as EnvoyWeightedClusters, weighted_cluster::ClusterWeight,
            },
        },
    },
    util::pack_any,
};

use crate::{Forwarding, WeightedCluster};

use super::stat_names;

pub(super) const TYPE_URL: &str =
    "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

/// The name of the filter in its listener, which is that of the extension that it waits for.
pub(super) fn name(listener: &str) -> String {
    format!("tcp:{listener}")
}

pub(super) fn extension(name: &str, forwarding: &Forwarding) -> TypedExtensionConfig {
    let tcp_proxy = TcpProxy {
        stat_prefix: stat_names::sanitized(&forwarding.stat_prefix),
        cluster_specifier: Some(cluster_specifier(&forwarding.clusters)),
        ..TcpProxy::default()
    };
    TypedExtensionConfig { name: name.to_owned(), typed_config: Some(pack_any(tcp_proxy)) }
}

fn cluster_specifier(clusters: &[WeightedCluster]) -> ClusterSpecifier {
    if let [only] = clusters {
        return ClusterSpecifier::Cluster(only.cluster.clone());
    }
    let weighted = |it: &WeightedCluster| ClusterWeight {
        name: it.cluster.clone(),
        weight: it.weight,
        ..ClusterWeight::default()
    };
    ClusterSpecifier::WeightedClusters(EnvoyWeightedClusters {
        clusters: clusters.iter().map(weighted).collect(),
    })
}
