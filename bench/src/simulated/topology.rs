//! The mesh of the simulated proxies: a ring of services. Every dataplane of a service calls the services that follow its own, so
//! it is known beforehand who must hear of which write, and that nobody else may.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::ensure;
use serde_json::{Value, json};

pub(crate) const MESH: &str = "default";

const FIRST_OUTBOUND_PORT: u32 = 10_001;
const INBOUND_PORT: u16 = 8080;
const WORKLOAD_PORT: u16 = 8081;

/// Dataplanes are numbered from 0; number `i` is of service `i % services`.
#[derive(Debug, Clone, Copy)]
pub struct Topology {
    pub proxies: u32,
    pub services: u32,
    /// Per dataplane.
    pub outbounds: u32,
}

impl Topology {
    /// # Errors
    /// When the ring is too small for its outbounds, or a service would have no dataplane.
    pub fn new(proxies: u32, services: u32, outbounds: u32) -> anyhow::Result<Self> {
        ensure!(services > outbounds, "--services ({services}) must be more than --outbounds ({outbounds})");
        ensure!(proxies >= services, "--proxies ({proxies}) must not be fewer than --services ({services})");
        Ok(Self { proxies, services, outbounds })
    }

    /// Of a dataplane, in the mesh `default`.
    pub fn dataplane_name(proxy: u32) -> String {
        format!("dp-{proxy}")
    }

    /// Of a service, counted around the ring.
    pub fn service_name(self, service: u32) -> String {
        format!("service-{}", service % self.services)
    }

    /// The number of a dataplane's service.
    pub fn service_of(self, proxy: u32) -> u32 {
        proxy % self.services
    }

    /// What to PUT for one dataplane. A number beyond the last is an endpoint more, whose proxy never comes.
    pub fn dataplane(self, proxy: u32) -> Value {
        let service = self.service_of(proxy);
        let outbounds: Vec<Value> = (0..self.outbounds)
            .map(|nth| {
                let port = FIRST_OUTBOUND_PORT + nth;
                json!({"interface": format!("127.0.0.1:{port}"), "service": self.service_name(service + 1 + nth)})
            })
            .collect();
        json!({
            "type": "Dataplane",
            "mesh": MESH,
            "name": Self::dataplane_name(proxy),
            "networking": {
                "inbound": [{
                    "interface": format!("{}:{INBOUND_PORT}:{WORKLOAD_PORT}", inbound_ip(proxy)),
                    "tags": {"service": self.service_name(service), "version": "v1"},
                }],
                "outbound": outbounds,
            },
        })
    }

    /// Where others reach this dataplane.
    pub fn endpoint(proxy: u32) -> SocketAddr {
        SocketAddr::from((inbound_ip(proxy), INBOUND_PORT))
    }

    /// The dataplanes that call a service.
    pub fn subscribers(self, service: u32) -> BTreeSet<u32> {
        let calls = |proxy: u32| {
            let steps = (service % self.services + self.services - self.service_of(proxy)) % self.services;
            (1..=self.outbounds).contains(&steps)
        };
        (0..self.proxies).filter(|&proxy| calls(proxy)).collect()
    }

    /// The dataplanes of a service.
    pub fn members(self, service: u32) -> BTreeSet<u32> {
        (0..self.proxies).filter(|&proxy| self.service_of(proxy) == service % self.services).collect()
    }

    /// A route that splits what `service` sends to the next one between that one and the one after it.
    pub fn split_route(self, name: &str, service: u32, weight_of_next: u32) -> Value {
        let (next, after) = (self.service_name(service + 1), self.service_name(service + 2));
        json!({
            "type": "TrafficRoute",
            "mesh": MESH,
            "name": name,
            "sources": [{"match": {"service": self.service_name(service)}}],
            "destinations": [{"match": {"service": next}}],
            "conf": [
                {"weight": weight_of_next, "destination": {"service": next}},
                {"weight": 100 - weight_of_next, "destination": {"service": after}},
            ],
        })
    }

    /// The mesh, whose proxies take connections over mutual TLS alone.
    pub fn mesh_with_mtls() -> Value {
        json!({"type": "Mesh", "name": MESH, "mtls": {"enabled": true}})
    }

    /// Lets the dataplanes of one service call those of another; `*` is every service.
    pub fn permission(name: &str, source: &str, destination: &str) -> Value {
        json!({
            "type": "TrafficPermission",
            "mesh": MESH,
            "name": name,
            "sources": [{"match": {"service": source}}],
            "destinations": [{"match": {"service": destination}}],
        })
    }

    /// The listener that [`split_route`](Self::split_route) is about: that of the first outbound.
    pub fn split_listener() -> String {
        format!("outbound:127.0.0.1:{FIRST_OUTBOUND_PORT}")
    }
}

/// 10.0.0.0/8 has room for every dataplane; nobody ever connects there.
fn inbound_ip(proxy: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + proxy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribers_are_those_whose_outbounds_name_the_service() {
        let topology = Topology::new(23, 7, 3).expect("possible");
        for service in 0..7 {
            let name = topology.service_name(service);
            let named: BTreeSet<u32> = (0..23)
                .filter(|&proxy| {
                    let dataplane = topology.dataplane(proxy);
                    let outbounds = dataplane["networking"]["outbound"].as_array().expect("a list");
                    outbounds.iter().any(|outbound| outbound["service"] == name.as_str())
                })
                .collect();
            assert_eq!(topology.subscribers(service), named, "{name}");
        }
    }

    #[test]
    fn members_are_those_whose_inbound_has_the_tag() {
        let topology = Topology::new(23, 7, 3).expect("possible");
        let tagged = |proxy: &u32| {
            topology.dataplane(*proxy)["networking"]["inbound"][0]["tags"]["service"] == "service-2"
        };
        assert_eq!(topology.members(2), (0..23).filter(tagged).collect());
        assert_eq!(topology.members(2), topology.members(9));
    }

    #[test]
    fn a_ring_too_small_is_refused() {
        assert!(Topology::new(10, 5, 5).is_err());
        assert!(Topology::new(4, 5, 2).is_err());
    }
}
