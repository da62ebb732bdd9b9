//! Who takes part: the proxies of mesh-1, what is behind them, and by which addresses they call each other.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use testbed::{Answer, Proxy, Service, ask};
use tokio::net::TcpStream;

use crate::shop::{Shop, until};

/// Five bytes, and seven of an answer.
const PING: &str = "PING\n";

/// So many that a share of 10 % is told from one of 0 % and of 33 %.
pub(crate) const CONNECTIONS: u32 = 400;

pub(crate) struct Story {
    pub(crate) shop: Shop,
    /// Whose proxies there are, in the order of `shop.proxies`.
    launched: Vec<&'static str>,
    pub(crate) workloads: Workloads,
}

/// All answer alike; their counters say which one a connection has reached.
pub(crate) struct Workloads {
    pub(crate) backend_1: Service,
    pub(crate) backend_v2: Service,
    pub(crate) backend_v3: Service,
    /// Of redis, database and user.
    pub(crate) store: Service,
}

impl Story {
    /// kuma-cp is where the document asks for it, and backend-1's workload where the document says.
    pub(crate) async fn begin() -> Self {
        let mut shop = Shop::open(1, &[("KUMA_API_SERVER_PORT", "5681")]).await;
        shop.move_to_mesh("mesh-1");
        let workload = async |port| Service::start_on(port, "workload", Answer::Pong).await.unwrap();
        let (backend_1, store) = (workload(11_012).await, workload(0).await);
        let (backend_v2, backend_v3) = (workload(0).await, workload(0).await);
        let workloads = Workloads { backend_1, backend_v2, backend_v3, store };
        Self { shop, launched: Vec::new(), workloads }
    }

    /// By which backend-v2 calls redis.
    pub(crate) fn redis(&self) -> SocketAddr {
        self.shop.outbound(6379)
    }

    /// By which web-1 calls backend.
    pub(crate) fn web(&self) -> SocketAddr {
        self.shop.outbound(10_001)
    }

    /// By which web-v10 calls backend.
    pub(crate) fn web_v10(&self) -> SocketAddr {
        self.shop.outbound(10_010)
    }

    pub(crate) async fn launch(&mut self, dataplane: &'static str) {
        self.shop.start_proxy(dataplane).await;
        self.launched.push(dataplane);
        self.settle().await;
    }

    pub(crate) async fn terminate(&mut self, dataplane: &str) {
        let place = self.place_of(dataplane);
        self.launched.remove(place);
        let ended = self.shop.proxies.remove(place).terminate().await.unwrap();
        assert!(ended.success(), "kuma-dp drains and ends well on SIGTERM: {ended}");
    }

    pub(crate) fn proxy(&self, dataplane: &str) -> &Proxy {
        &self.shop.proxies[self.place_of(dataplane)]
    }

    fn place_of(&self, dataplane: &str) -> usize {
        self.launched.iter().position(|it| *it == dataplane).expect("the proxy was launched")
    }

    pub(crate) async fn apply(&self, entity: &Value) {
        self.shop.control_plane.apply(entity).await.unwrap();
        self.settle().await;
    }

    pub(crate) async fn delete(&self, path: &str) {
        self.shop.control_plane.delete(path).await.unwrap();
        self.settle().await;
    }

    /// Waits until every proxy has all that was said.
    pub(crate) async fn settle(&self) {
        for name in &self.launched {
            until(&format!("the proxy of {name} to have all of it"), async || {
                self.shop.control_plane.is_synced_in("mesh-1", name).await.unwrap()
            })
            .await;
        }
    }

    pub(crate) async fn inspect(&self, dataplane: &str) -> String {
        self.shop.kumactl(&["inspect", "dataplane", dataplane, "--mesh", "mesh-1"]).await
    }

    /// Connections reach backend-1, backend-v2 and backend-v3 in these proportions; six standard deviations are chance.
    pub(crate) async fn reaches(&self, outbound: SocketAddr, weights: [u32; 3]) {
        let Workloads { backend_1, backend_v2, backend_v3, .. } = &self.workloads;
        let counts = || [backend_1, backend_v2, backend_v3].map(Service::connections);
        let before = counts();
        for _ in 0..CONNECTIONS {
            answers(outbound).await;
        }
        let after = counts();
        for (i, weight) in weights.into_iter().enumerate() {
            let reached = u32::try_from(after[i] - before[i]).unwrap();
            let share = f64::from(weight) / f64::from(weights.iter().sum::<u32>());
            let mean = f64::from(CONNECTIONS) * share;
            let deviation = (mean * (1.0 - share)).sqrt();
            let is_chance = (f64::from(reached) - mean).abs() <= 6.0 * deviation;
            assert!(is_chance, "{weights:?} of {CONNECTIONS} connections: {before:?} became {after:?}");
        }
    }
}

pub(crate) async fn answers(address: SocketAddr) {
    assert_eq!(ask(address, PING).await.unwrap(), "+PONG");
}

/// An Envoy says that it has a listener, or a chain of one, before it is ready to use it. Every endpoint is asked.
pub(crate) async fn until_answers(address: SocketAddr) {
    until(&format!("{address} to answer"), async || {
        for _ in 0..10 {
            if ask(address, PING).await.is_err() {
                return false;
            }
        }
        true
    })
    .await;
}

pub(crate) async fn until_refuses(address: SocketAddr) {
    until(&format!("{address} to refuse"), async || ask(address, PING).await.is_err()).await;
}

pub(crate) async fn until_closed(address: SocketAddr) {
    until(&format!("{address} to close"), async || TcpStream::connect(address).await.is_err()).await;
}

pub(crate) fn localhost(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
