//! Who somebody is, is what a certificate of the mesh's CA says, and it says it to both sides.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use testbed::{Certified, Forger, Secrets, Service, TlsClient, TlsService, self_signed, server_name};

use crate::{
    secured::{Plain, Secured, VALIDITY},
    shop::until,
};

const WEB: &str = "spiffe://default/web";

/// What a client that shows this hears at backend's inbound, calling as `web`.
async fn heard(secured: &Secured, certified: Option<&Certified>, sni: &str) -> anyhow::Result<String> {
    TlsClient::showing(certified)?.ask(secured.inbound, sni, "").await
}

/// web may call backend, and does.
async fn permitted(network: u8) -> Secured {
    let secured = Secured::open(network, &["web", "api"]).await;
    secured.permit("web", &["web"], &["backend"]).await;
    secured.until_let_in("web").await;
    secured
}

async fn identity(secured: &Secured, mesh: &str, name: &str) -> Certified {
    Secrets::fetch(&secured.shop.control_plane, mesh, name).await.unwrap().identity
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_shows_no_certificate_of_a_permitted_service_gets_nothing() {
    let mut secured = permitted(175).await;
    let other = json!({"type": "Mesh", "name": "other", "mtls": {"enabled": true}});
    secured.shop.control_plane.apply(&other).await.unwrap();
    secured.shop.move_to_mesh("other");
    secured.shop.register("web", json!({"service": "web"}), &[]).await;

    let Secrets { identity: web, roots } =
        Secrets::fetch(&secured.shop.control_plane, "default", "web").await.unwrap();
    let api = identity(&secured, "default", "api").await;
    let foreign = identity(&secured, "other", "web").await;
    let claimed = self_signed(&[WEB]).unwrap();
    let forged = Forger::in_the_name_of(&roots).unwrap().sign(&[WEB]).unwrap();
    let below = Forger::below(&api).unwrap().sign(&[WEB]).unwrap();
    let as_web = server_name("default", "web");
    // The client can speak to it: what follows is refused for what it shows.
    assert_eq!(heard(&secured, Some(&web), &as_web).await.unwrap(), "backend");

    let before = secured.backend.connections();
    for (who, certified) in [
        ("nobody", None),
        ("who has signed himself", Some(&claimed)),
        ("whose CA has the mesh's CA's name", Some(&forged)),
        ("whose CA is a workload", Some(&below)),
        ("web of another mesh", Some(&foreign)),
        ("another service", Some(&api)),
    ] {
        for sni in [as_web.clone(), server_name("other", "web"), server_name("default", "api")] {
            let heard = heard(&secured, certified, &sni).await;
            assert!(heard.is_err(), "{who}, as {sni}: {heard:?}");
        }
    }
    secured.assert_unnoticed_since(before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_ended_gets_nothing() {
    let plain = Plain { settings: &[(VALIDITY, "15s")], ..Plain::of(176, &["web"]) };
    let secured = Secured::of(plain).await;
    secured.permit("web", &["web"], &["backend"]).await;
    secured.until_let_in("web").await;
    let web = identity(&secured, "default", "web").await;
    let as_web = server_name("default", "web");
    // Whoever was let in once, and has a session to prove it, is verified again all the same.
    let client = TlsClient::showing(Some(&web)).unwrap();
    let ask = async || client.ask(secured.inbound, &as_web, "").await;
    assert_eq!(ask().await.unwrap(), "backend");

    let ends = u64::try_from(web.not_after().unwrap()).unwrap();
    let ends = SystemTime::UNIX_EPOCH + Duration::from_secs(ends);
    // The second that it names is its last one. Until then the session stays a young one.
    until("the certificate's end", async || {
        let _ = ask().await;
        ends + Duration::from_secs(1) < SystemTime::now()
    })
    .await;
    for client in [&client, &TlsClient::showing(Some(&web)).unwrap()] {
        assert!(client.ask(secured.inbound, &as_web, "").await.is_err());
    }
    assert_eq!(secured.ask("web").await.unwrap(), "backend", "whose certificate was renewed");
}

/// A Dataplane of the service `backend` that has this address, where somebody listens who is not its proxy.
async fn register_at(secured: &Secured, address: SocketAddr) {
    let inbound = json!([{"interface": format!("{address}:80"), "tags": {"service": "backend"}}]);
    let networking = json!({"inbound": inbound});
    let dataplane =
        json!({"type": "Dataplane", "mesh": "default", "name": "elsewhere", "networking": networking});
    secured.shop.control_plane.apply(&dataplane).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_says_nothing_to_who_is_not_the_service_that_it_calls() {
    let secured = permitted(177).await;
    let backend = identity(&secured, "default", "backend").await;
    let api = identity(&secured, "default", "api").await;
    let Secrets { roots, .. } = Secrets::fetch(&secured.shop.control_plane, "default", "web").await.unwrap();
    let backend_id = "spiffe://default/backend";
    let forged = Forger::in_the_name_of(&roots).unwrap().sign(&[backend_id]).unwrap();
    // Where the real one was, others are.
    secured.shop.control_plane.delete("/meshes/default/dataplanes/backend").await.unwrap();
    for (who, certified) in [
        ("another service", &api),
        ("who has signed himself", &self_signed(&[backend_id]).unwrap()),
        ("whose CA has the mesh's CA's name", &forged),
    ] {
        let impostor = TlsService::start("impostor", certified).await.unwrap();
        register_at(&secured, impostor.address()).await;
        until("the client to meet the impostor", async || {
            let heard = secured.ask("web").await;
            assert_ne!(heard.ok().as_deref(), Some("impostor"), "{who}");
            impostor.visited() > 0
        })
        .await;
        assert_eq!(impostor.believed(), 0, "{who} is not believed");
    }

    let plain = Service::start("impostor", testbed::Answer::Name).await.unwrap();
    register_at(&secured, ([127, 0, 0, 1], plain.port()).into()).await;
    until("the client to meet who speaks no TLS", async || {
        assert_ne!(secured.ask("web").await.ok().as_deref(), Some("impostor"));
        plain.connections() > 0
    })
    .await;

    // Whoever has a certificate of the service is the service.
    let real = TlsService::start("backend", &backend).await.unwrap();
    register_at(&secured, real.address()).await;
    until("the client to be answered", async || secured.ask("web").await.is_ok_and(|it| it == "backend"))
        .await;
    assert!(real.believed() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_counted_by_the_name_that_he_has_proved() {
    let secured = Secured::open(178, &["web"]).await;
    secured.until_refused("web").await;
    let backend = secured.proxy("backend");
    let denied = async |source: &str| {
        let series = format!("kuma_dp_denied_total{{source=\"{source}\",destination=\"backend\"}}");
        backend.count(&series).await.unwrap()
    };
    until("the refusals of web to be counted", async || denied("web").await >= 10).await;

    // Nobody has signed this, so nobody is blamed for it.
    let before = denied("web").await;
    assert_eq!(denied("unknown").await, 0);
    let claimed = self_signed(&[WEB]).unwrap();
    assert!(heard(&secured, Some(&claimed), &server_name("default", "web")).await.is_err());
    until("the stranger to be counted", async || denied("unknown").await >= 1).await;
    assert_eq!(denied("web").await, before);
}

/// Whatever a stranger writes into his certificate stands in the log as what it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_with_line_breaks_in_it_writes_no_line_and_no_file_of_its_own() {
    let secured = Secured::open(179, &["web"]).await;
    let backend = secured.proxy("backend");
    let written = secured.shop.folder.path().join("written");
    let target = format!("file:{}", written.display());
    let names = [
        format!("a\n{target};smuggled"),
        format!("a\n{{\"target\":\"{target}\",\"text\":\"smuggled\"}}"),
        format!("a\"}}\n{{\"target\":\"{target}\",\"text\":\"smuggled\"}}\n{{\"a\":\""),
        format!("a\n{{\"target\":\"refused\",\"source\":\"{WEB}\",\"destination\":\"smuggled\"}}"),
        "a\nkuma-dp: smuggled".to_owned(),
        "a\r\n\u{1b}[2Jsmuggled".to_owned(),
    ];
    let unknown = "kuma_dp_denied_total{source=\"unknown\",destination=\"backend\"}";
    for (name, counted) in names.iter().zip(1..) {
        let stranger = self_signed(&[name]).unwrap();
        assert!(heard(&secured, Some(&stranger), &server_name("default", "web")).await.is_err());
        until("the stranger to be counted", async || backend.count(unknown).await.unwrap() == counted).await;
    }
    assert!(!written.exists(), "no file of a stranger's choice");
    assert_eq!(backend.count("kuma_dp_denied_total").await.unwrap(), names.len() as u64, "each once");
    let log = backend.log();
    let said: Vec<&String> = log.iter().filter(|line| line.contains("smuggled")).collect();
    assert_eq!(said.len(), names.len(), "a line for each: {said:?}");
    for line in said {
        let fields: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let source = fields["source"].as_str().unwrap_or_else(|| panic!("it names its source: {line:?}"));
        assert!(source.contains("\\n") && !source.contains(char::is_control), "{source:?}");
    }
}
