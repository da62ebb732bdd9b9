//! A mesh with mTLS: one service, and clients of it, each behind an Envoy of its own.

use std::net::SocketAddr;

use serde_json::{Value, json};
use testbed::{Answer, Launch, Programs, Proxy, Service, Settings};

use crate::shop::{Shop, until};

/// The variable by which certificates live shorter than they do by default.
pub(crate) const VALIDITY: &str = "KUMA_IDENTITY_CERTIFICATE_VALIDITY";

/// What a workload notices of a client that its Envoy refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unnoticed,
    /// The oldest Envoy opens its connection to the workload while the client's handshake is still under way.
    Connected,
}

pub(crate) struct Secured {
    pub(crate) shop: Shop,
    refusal: Refusal,
    /// The workload of the service `backend`.
    pub(crate) backend: Service,
    /// Where its Envoy listens.
    pub(crate) inbound: SocketAddr,
    clients: Vec<&'static str>,
}

/// Before anybody has asked for mTLS.
pub(crate) struct Plain<'a> {
    pub(crate) programs: Programs,
    pub(crate) refusal: Refusal,
    pub(crate) network: u8,
    pub(crate) settings: Settings<'a>,
    pub(crate) answer: Answer,
    /// The services that call `backend`, each by its Dataplane of the same name.
    pub(crate) clients: &'a [&'static str],
    pub(crate) drain_time: &'a str,
}

impl<'a> Plain<'a> {
    /// Its backend speaks first.
    pub(crate) fn of(network: u8, clients: &'a [&'static str]) -> Self {
        let programs = Programs::find().unwrap();
        Self {
            programs,
            refusal: Refusal::Unnoticed,
            network,
            settings: &[],
            answer: Answer::Name,
            clients,
            drain_time: "5s",
        }
    }

    pub(crate) async fn open(self) -> Secured {
        let Self { programs, refusal, network, settings, answer, clients, drain_time } = self;
        let mut shop = Shop::open_with(programs, network, settings).await;
        let backend = Service::start("backend", answer).await.unwrap();
        let inbound = shop.register_before(&backend, "backend", json!({"service": "backend"}), &[]).await;
        shop.launch(Launch { drain_time, ..Launch::of("backend") }).await;
        let clients = clients.to_vec();
        let mut secured = Secured { shop, refusal, backend, inbound, clients };
        for client in secured.clients.clone() {
            let outbound = secured.outbound(client);
            secured.shop.register(client, json!({"service": client}), &[(outbound, "backend")]).await;
            secured.shop.launch(Launch { drain_time, ..Launch::of(client) }).await;
        }
        secured
    }
}

impl Secured {
    pub(crate) async fn open(network: u8, clients: &[&'static str]) -> Self {
        Self::of(Plain::of(network, clients)).await
    }

    /// With mTLS, so that nobody is permitted yet.
    pub(crate) async fn of(plain: Plain<'_>) -> Self {
        let secured = plain.open().await;
        secured.mtls(&json!({"enabled": true})).await;
        secured
    }

    /// PUTs the mesh with these settings, and waits until every proxy has what follows from them.
    pub(crate) async fn mtls(&self, settings: &Value) {
        let mesh = json!({"type": "Mesh", "name": "default", "mtls": settings});
        self.shop.control_plane.apply(&mesh).await.unwrap();
        self.until_synced().await;
    }

    /// Whether every proxy has all that follows from what was written before.
    pub(crate) async fn until_synced(&self) {
        for name in self.clients.iter().chain(&["backend"]) {
            until("the proxy to have all of it", async || {
                self.shop.control_plane.is_synced(name).await.unwrap()
            })
            .await;
        }
    }

    /// Lets services call others, and waits until every proxy has heard.
    pub(crate) async fn permit(&self, name: &str, sources: &[&str], destinations: &[&str]) {
        self.shop.control_plane.apply(&permission(name, sources, destinations)).await.unwrap();
        self.until_synced().await;
    }

    pub(crate) async fn revoke(&self, name: &str) {
        self.shop.control_plane.delete(&format!("/meshes/default/traffic-permissions/{name}")).await.unwrap();
        self.until_synced().await;
    }

    /// By which this client calls `backend`.
    pub(crate) fn outbound(&self, client: &str) -> SocketAddr {
        let place = self.clients.iter().position(|it| *it == client).expect("it is a client");
        self.shop.outbound(10_001 + u16::try_from(place).expect("they are few"))
    }

    pub(crate) async fn ask(&self, client: &str) -> anyhow::Result<String> {
        testbed::ask(self.outbound(client), "").await
    }

    pub(crate) async fn until_let_in(&self, client: &str) {
        until("the client to be let in", async || self.ask(client).await.is_ok()).await;
    }

    /// Waits until it is refused, and asserts that it is from then on, and that the workload hears nothing of it.
    pub(crate) async fn until_refused(&self, client: &str) {
        until("the client to be refused", async || self.ask(client).await.is_err()).await;
        let before = self.backend.connections();
        for _ in 0..10 {
            assert!(self.ask(client).await.is_err(), "{client} is refused");
        }
        self.assert_unnoticed_since(before);
    }

    /// That the workload has heard of nobody since it had so many connections.
    pub(crate) fn assert_unnoticed_since(&self, connections: u64) {
        if self.refusal == Refusal::Unnoticed {
            assert_eq!(
                self.backend.connections(),
                connections,
                "the workload sees no connection of who is refused"
            );
        }
    }

    /// Of the service, and of each client in their order.
    pub(crate) fn proxy(&self, dataplane: &str) -> &Proxy {
        let place = self.clients.iter().position(|it| *it == dataplane);
        &self.shop.proxies[place.map_or(0, |place| place + 1)]
    }
}

pub(crate) fn permission(name: &str, sources: &[&str], destinations: &[&str]) -> Value {
    let selectors = |services: &[&str]| -> Vec<Value> {
        services.iter().map(|service| json!({"match": {"service": service}})).collect()
    };
    json!({
        "type": "TrafficPermission", "mesh": "default", "name": name,
        "sources": selectors(sources), "destinations": selectors(destinations),
    })
}

/// The serial number of the certificate that an Envoy shows now.
pub(crate) async fn serial_number(proxy: &Proxy) -> Option<String> {
    let certificates: Value = serde_json::from_str(&proxy.admin("/certs").await.unwrap()).unwrap();
    let shown = certificates["certificates"].as_array()?.iter().find_map(|it| it["cert_chain"].get(0));
    shown?["serial_number"].as_str().map(str::to_owned)
}

/// Waits until an Envoy shows another certificate.
pub(crate) async fn until_renewed(proxy: &Proxy) {
    let before = serial_number(proxy).await;
    assert!(before.is_some(), "it has a certificate");
    until("a new certificate", async || serial_number(proxy).await != before).await;
}
