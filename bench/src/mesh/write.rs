//! The writes that are measured: what each puts or deletes, what has to be received of it, and by whom.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::simulated::{Change, HttpApi, Topology};

const ROUTE: &str = "bench-split";
const PERMISSION: &str = "bench-permission";

#[derive(Debug, Clone, Copy)]
pub(super) enum Write {
    EndpointAdded,
    RoutePut,
    EndpointRemoved,
    PermissionGranted,
    PermissionRevoked,
}

impl Write {
    pub(super) const OF_EVERY_MESH: [Self; 3] = [Self::EndpointAdded, Self::RoutePut, Self::EndpointRemoved];

    /// Without mTLS nobody is asked who he is, and permissions say nothing.
    pub(super) const OF_MTLS: [Self; 2] = [Self::PermissionGranted, Self::PermissionRevoked];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::EndpointAdded => "endpoint added",
            Self::RoutePut => "route put",
            Self::EndpointRemoved => "endpoint removed",
            Self::PermissionGranted => "permission granted",
            Self::PermissionRevoked => "permission revoked",
        }
    }

    /// What is to be received, and by whom.
    pub(super) fn expected(self, topology: Topology, repeat: u32) -> (Change, BTreeSet<u32>) {
        let extra = extra_dataplane(topology, repeat);
        let service = topology.service_of(extra);
        let (cluster, endpoint) = (topology.service_name(service), Topology::endpoint(extra));
        let (permission, source) = (PERMISSION.to_owned(), topology.service_name(repeat));
        match self {
            Self::EndpointAdded => {
                (Change::EndpointAdded { cluster, endpoint }, topology.subscribers(service))
            }
            Self::EndpointRemoved => {
                (Change::EndpointRemoved { cluster, endpoint }, topology.subscribers(service))
            }
            Self::RoutePut => {
                let change = Change::Split {
                    listener: Topology::split_listener(),
                    cluster: topology.service_name(1),
                    weight: weight(repeat),
                };
                (change, topology.members(0))
            }
            Self::PermissionGranted => {
                (Change::PermissionGranted { permission, source }, topology.members(repeat + 1))
            }
            Self::PermissionRevoked => {
                (Change::PermissionRevoked { permission, source }, topology.members(repeat + 1))
            }
        }
    }

    /// Returns when it was answered.
    pub(super) async fn carry_out(
        self,
        api: HttpApi<'_>,
        topology: Topology,
        repeat: u32,
    ) -> anyhow::Result<Instant> {
        let extra = extra_dataplane(topology, repeat);
        match self {
            Self::EndpointAdded => api.put(&topology.dataplane(extra)).await,
            Self::EndpointRemoved => api.delete("dataplanes", &Topology::dataplane_name(extra)).await,
            Self::RoutePut => api.put(&topology.split_route(ROUTE, 0, weight(repeat))).await,
            Self::PermissionGranted => {
                let (source, destination) =
                    (topology.service_name(repeat), topology.service_name(repeat + 1));
                api.put(&Topology::permission(PERMISSION, &source, &destination)).await
            }
            Self::PermissionRevoked => api.delete("traffic-permissions", PERMISSION).await,
        }
    }
}

/// The endpoint that comes and goes: of another service at each repeat.
fn extra_dataplane(topology: Topology, repeat: u32) -> u32 {
    topology.proxies.next_multiple_of(topology.services) + repeat % topology.services
}

/// Another one than at the repeat before.
fn weight(repeat: u32) -> u32 {
    1 + repeat % 99
}
