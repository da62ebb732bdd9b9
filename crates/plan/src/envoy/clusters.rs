//! Clusters (CDS). Names are the plan's, so that statistics, ProxyTemplates and people find them; counters stand under the
//! sanitized name.

use std::net::{Ipv4Addr, SocketAddr};

use envoy_types::pb::{
    envoy::config::{
        cluster::v3::{
            Cluster as EnvoyCluster,
            cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbPolicy},
        },
        endpoint::v3::{ClusterLoadAssignment, LocalityLbEndpoints},
    },
    google::protobuf::Duration,
};

use crate::Cluster;

use super::{config_sources, endpoints, stat_names, transport_sockets};

const CONNECT_TIMEOUT: Duration = Duration { seconds: 5, nanos: 0 };

pub(super) fn cluster(name: &str, cluster: &Cluster) -> EnvoyCluster {
    let common = EnvoyCluster {
        name: name.to_owned(),
        alt_stat_name: stat_names::sanitized(name),
        connect_timeout: Some(CONNECT_TIMEOUT),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(discovery_type(cluster).into())),
        ..EnvoyCluster::default()
    };
    match cluster {
        Cluster::Workload { port } => {
            let workload = endpoints::endpoint(SocketAddr::from((Ipv4Addr::LOCALHOST, port.get())));
            let group =
                LocalityLbEndpoints { lb_endpoints: vec![workload], ..LocalityLbEndpoints::default() };
            EnvoyCluster { load_assignment: Some(assignment(name, vec![group])), ..common }
        }
        Cluster::Service { service, tls, .. } => EnvoyCluster {
            transport_socket: tls.as_ref().map(|tls| transport_sockets::upstream(tls, service)),
            eds_cluster_config: Some(EdsClusterConfig {
                eds_config: Some(config_sources::ads()),
                ..EdsClusterConfig::default()
            }),
            ..common
        },
        Cluster::Blackhole => EnvoyCluster { load_assignment: Some(assignment(name, Vec::new())), ..common },
        Cluster::OriginalDestination => {
            EnvoyCluster { lb_policy: LbPolicy::ClusterProvided.into(), ..common }
        }
    }
}

fn discovery_type(cluster: &Cluster) -> DiscoveryType {
    match cluster {
        Cluster::Workload { .. } | Cluster::Blackhole => DiscoveryType::Static,
        Cluster::Service { .. } => DiscoveryType::Eds,
        Cluster::OriginalDestination => DiscoveryType::OriginalDst,
    }
}

fn assignment(cluster: &str, endpoints: Vec<LocalityLbEndpoints>) -> ClusterLoadAssignment {
    ClusterLoadAssignment { cluster_name: cluster.to_owned(), endpoints, ..ClusterLoadAssignment::default() }
}
