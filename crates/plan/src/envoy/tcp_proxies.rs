//! What becomes of the connections of a listener: a TCP proxy filter, delivered apart from it (ECDS).

use envoy_types::{
    pb::envoy::{
        config::core::v3::TypedExtensionConfig,
        extensions::filters::network::tcp_proxy::v3::{
            TcpProxy, UpstreamConnectMode,
            tcp_proxy::{
                ClusterSpecifier, WeightedCluster as EnvoyWeightedClusters, weighted_cluster::ClusterWeight,
            },
        },
    },
    pb::google::protobuf::UInt32Value,
    util::pack_any,
};
use serde::Serialize;

use crate::{Forwarding, WeightedCluster};

use super::{
    access_logs::{self, Line},
    stat_names,
};

pub(super) const TYPE_URL: &str =
    "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

/// The name of the filter in its listener, which is that of the extension that it waits for.
pub(super) fn name(listener: &str) -> String {
    format!("tcp:{listener}")
}

/// When the workload, or the next proxy, is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Connect {
    AtOnce,
    /// Over TLS not before the handshake is done, so that a workload never sees a connection that is refused. A plain one at
    /// once.
    AfterHandshake,
}

/// What a client may send with its handshake before it is connected on, in bytes.
const EARLY_DATA_MAX: UInt32Value = UInt32Value { value: 64 << 10 };

pub(super) fn extension(
    name: &str,
    forwarding: &Forwarding,
    connect: Connect,
    logs: &[Line],
) -> TypedExtensionConfig {
    let (mode, early_data) = match connect {
        Connect::AtOnce => (UpstreamConnectMode::Immediate, None),
        Connect::AfterHandshake => (UpstreamConnectMode::OnDownstreamTlsHandshake, Some(EARLY_DATA_MAX)),
    };
    let tcp_proxy = TcpProxy {
        stat_prefix: stat_names::sanitized(&forwarding.stat_prefix),
        cluster_specifier: Some(cluster_specifier(&forwarding.clusters)),
        upstream_connect_mode: mode.into(),
        max_early_data_bytes: early_data,
        access_log: logs.iter().filter_map(access_logs::access_log).collect(),
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
