//! Where the endpoints of a cluster are (EDS).

use std::{collections::HashMap, net::SocketAddr};

use envoy_types::pb::{
    envoy::config::{
        core::v3::Metadata,
        endpoint::v3::{
            ClusterLoadAssignment, Endpoint as EnvoyEndpoint, LbEndpoint, LocalityLbEndpoints,
            lb_endpoint::HostIdentifier,
        },
    },
    google::protobuf::{Struct, Value, value::Kind},
};
use model::Tags;

use crate::EndpointSet;

use super::addresses;

/// Where Envoy's load balancers look for the metadata of an endpoint.
const LOAD_BALANCER_METADATA: &str = "envoy.lb";

/// All in one group without a locality. The group is there even when it is empty, as in Kuma 0.3.0.
pub(super) fn load_assignment(cluster: &str, endpoints: &EndpointSet) -> ClusterLoadAssignment {
    let lb_endpoints = endpoints
        .iter()
        .map(|it| LbEndpoint { metadata: Some(metadata(&it.tags)), ..endpoint(it.address) })
        .collect();
    ClusterLoadAssignment {
        cluster_name: cluster.to_owned(),
        endpoints: vec![LocalityLbEndpoints { lb_endpoints, ..LocalityLbEndpoints::default() }],
        ..ClusterLoadAssignment::default()
    }
}

pub(super) fn endpoint(address: SocketAddr) -> LbEndpoint {
    let endpoint = EnvoyEndpoint { address: Some(addresses::tcp(address)), ..EnvoyEndpoint::default() };
    LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..LbEndpoint::default() }
}

fn metadata(tags: &Tags) -> Metadata {
    let fields =
        tags.iter().map(|(key, value)| (key.clone(), Value { kind: Some(Kind::StringValue(value.clone())) }));
    let tags = Struct { fields: fields.collect() };
    Metadata {
        filter_metadata: HashMap::from([(LOAD_BALANCER_METADATA.to_owned(), tags)]),
        ..Metadata::default()
    }
}
