//! Who may talk to whom: who is not permitted gets no byte, and the workload hears nothing of him.

use serde_json::{Value, json};
use testbed::{Answer, Launch, Secrets, Service, TlsClient, server_name};

use crate::{
    secured::{Plain, Secured},
    shop::{Shop, until},
};

pub(crate) const CLIENTS: &[&str] = &["web", "api"];

#[tokio::test(flavor = "multi_thread")]
async fn a_client_comes_in_by_a_permission_and_by_nothing_else() {
    by_a_permission_and_by_nothing_else(Plain::of(171, CLIENTS)).await;
}

pub(crate) async fn by_a_permission_and_by_nothing_else(plain: Plain<'_>) {
    let secured = Secured::of(plain).await;
    for client in ["web", "api"] {
        secured.until_refused(client).await;
    }
    secured.permit("web", &["web"], &["backend"]).await;
    secured.until_let_in("web").await;
    secured.until_refused("api").await;
    assert_eq!(secured.ask("web").await.unwrap(), "backend");

    // All permissions count together: one goes, and the other one's clients stay.
    secured.permit("api", &["api"], &["*"]).await;
    secured.until_let_in("api").await;
    secured.revoke("web").await;
    secured.until_refused("web").await;
    assert_eq!(secured.ask("api").await.unwrap(), "backend");
    secured.revoke("api").await;
    secured.until_refused("api").await;

    secured.permit("everybody", &["*"], &["backend"]).await;
    for client in ["web", "api"] {
        secured.until_let_in(client).await;
    }
    secured.permit("everybody", &["*"], &["another"]).await;
    for client in ["web", "api"] {
        secured.until_refused(client).await;
    }
}

/// It speaks first, so a proxy that connected before it asks would give its words away (<https://github.com/envoyproxy/envoy/issues/9023>).
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_speaks_first_says_nothing_to_who_is_refused() {
    nothing_to_who_is_refused(Plain::of(172, CLIENTS)).await;
}

pub(crate) async fn nothing_to_who_is_refused(plain: Plain<'_>) {
    let secured = Secured::of(plain).await;
    secured.permit("web", &["web"], &["backend"]).await;
    secured.until_let_in("web").await;
    let fetch = |name| Secrets::fetch(&secured.shop.control_plane, "default", name);
    let (web, api) = (fetch("web").await.unwrap().identity, fetch("api").await.unwrap().identity);
    let before = secured.backend.connections();
    for source in ["api", "web", "nobody"] {
        // Silent: whoever waits for the service's first word.
        let client = TlsClient::showing(Some(&api)).unwrap();
        let heard = client.ask(secured.inbound, &server_name("default", source), "").await;
        assert!(heard.is_err(), "as {source}: {heard:?}");
    }
    let heard = testbed::ask(secured.inbound, "").await;
    assert!(heard.is_err(), "without TLS: {heard:?}");
    secured.assert_unnoticed_since(before);
    let client = TlsClient::showing(Some(&web)).unwrap();
    assert_eq!(client.ask(secured.inbound, &server_name("default", "web"), "").await.unwrap(), "backend");
}

/// Two services behind one Envoy, which both call, and are both called.
struct Twins {
    shop: Shop,
    called: [Service; 2],
    callers: std::net::SocketAddr,
}

impl Twins {
    /// The Dataplane `twins` is `red` and `blue`, and calls `backend`, which calls each of both.
    async fn open(network: u8) -> Self {
        let mut shop = Shop::open(network, &[]).await;
        let called = [
            Service::start("red", Answer::Name).await.unwrap(),
            Service::start("blue", Answer::Name).await.unwrap(),
        ];
        let callers = shop.outbound(10_001);
        let inbounds: Vec<Value> = called
            .iter()
            .zip(["red", "blue"])
            .zip(8081..)
            .map(|((service, name), port)| {
                let interface = format!("127.{network}.0.100:{port}:{}", service.port());
                json!({"interface": interface, "tags": {"service": name}})
            })
            .collect();
        let outbound = json!([{"interface": callers.to_string(), "service": "backend"}]);
        let networking = json!({"inbound": inbounds, "outbound": outbound});
        let twins =
            json!({"type": "Dataplane", "mesh": "default", "name": "twins", "networking": networking});
        shop.control_plane.apply(&twins).await.unwrap();
        let outbounds = [(shop.outbound(10_002), "red"), (shop.outbound(10_003), "blue")];
        shop.register("backend", json!({"service": "backend"}), &outbounds).await;
        for name in ["twins", "backend"] {
            shop.launch(Launch::of(name)).await;
        }
        let mesh = json!({"type": "Mesh", "name": "default", "mtls": {"enabled": true}});
        shop.control_plane.apply(&mesh).await.unwrap();
        let twins = Self { shop, called, callers };
        twins.until_synced().await;
        twins
    }

    async fn permit(&self, sources: &[&str], destinations: &[&str]) {
        let permission = crate::secured::permission("the-one", sources, destinations);
        self.shop.control_plane.apply(&permission).await.unwrap();
        self.until_synced().await;
    }

    async fn until_synced(&self) {
        for name in ["twins", "backend"] {
            until("the proxy to have all of it", async || {
                self.shop.control_plane.is_synced(name).await.unwrap()
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataplane_of_two_services_calls_as_the_one_that_is_permitted() {
    let twins = Twins::open(173).await;
    let calls = async || testbed::ask(twins.callers, "").await;
    until("nobody to be let in", async || calls().await.is_err()).await;
    for service in ["red", "blue", "*"] {
        twins.permit(&[service], &["backend"]).await;
        until("the one of them to be let in", async || calls().await.is_ok()).await;
        twins.permit(&["another"], &["backend"]).await;
        until("neither to be let in", async || calls().await.is_err()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_dataplane_of_two_services_the_one_is_called_that_is_permitted() {
    let twins = Twins::open(174).await;
    let calls = async |port| testbed::ask(twins.shop.outbound(port), "").await;
    for ((name, port), (other, its_port)) in
        [(("red", 10_002), ("blue", 10_003)), (("blue", 10_003), ("red", 10_002))]
    {
        twins.permit(&["backend"], &[name]).await;
        until("the one to answer", async || calls(port).await.is_ok_and(|it| it == name)).await;
        until("the other to be closed", async || calls(its_port).await.is_err()).await;
        let unheard = &twins.called[usize::from(other == "blue")];
        let before = unheard.connections();
        assert!(calls(its_port).await.is_err());
        assert_eq!(unheard.connections(), before, "{other} sees no connection");
    }
}
