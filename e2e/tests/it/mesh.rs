//! Traffic goes where the routes say, from the moment that Envoy has acknowledged them.

use std::net::SocketAddr;

use serde_json::json;
use testbed::{Answer, Service};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::shop::{Shop, answers, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_route_moves_new_connections_and_its_deletion_moves_them_back() {
    let (shop, backend) = Shop::with_two_versions(101).await;
    route_there_and_back(&shop, backend).await;
}

pub(crate) async fn route_there_and_back(shop: &Shop, backend: SocketAddr) {
    let both = answers(backend, 40).await;
    assert!(both.iter().any(|it| it == "backend-v1") && both.iter().any(|it| it == "backend-v2"), "{both:?}");

    shop.route(0, 100).await;
    assert!(answers(backend, 40).await.iter().all(|it| it == "backend-v2"));
    shop.route(100, 0).await;
    assert!(answers(backend, 40).await.iter().all(|it| it == "backend-v1"));

    shop.control_plane.delete("/meshes/default/traffic-routes/web-to-backend").await.unwrap();
    until("both versions to answer again", async || {
        answers(backend, 10).await.iter().any(|it| it == "backend-v2")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_comes_takes_traffic_and_one_that_goes_does_not() {
    let (mut shop, backend) = Shop::with_two_versions(102).await;
    shop.register("backend-v3", json!({"service": "backend", "version": "v3"}), &[]).await;
    shop.start_proxy("backend-v3").await;
    until("the new endpoint to answer", async || {
        answers(backend, 10).await.iter().any(|it| it == "backend-v3")
    })
    .await;

    for gone in ["backend-v1", "backend-v2"] {
        shop.control_plane.delete(&format!("/meshes/default/dataplanes/{gone}")).await.unwrap();
    }
    until("only the new endpoint to answer", async || {
        let mut all_v3 = true;
        for _ in 0..10 {
            all_v3 &= testbed::ask(backend, "").await.is_ok_and(|it| it == "backend-v3");
        }
        all_v3
    })
    .await;
}

/// A TrafficRoute is the TCP proxy's own setting and leaves the listener alone, so nobody who is connected notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_edit_cuts_no_connection() {
    let mut shop = Shop::open(103, &[]).await;
    let backend = shop.outbound(10_001);
    let echo = Service::start("backend-v1", Answer::Echo).await.unwrap();
    shop.register_before(&echo, "backend-v1", json!({"service": "backend", "version": "v1"}), &[]).await;
    shop.register("web", json!({"service": "web"}), &[(backend, "backend")]).await;
    for name in ["backend-v1", "web"] {
        shop.start_proxy(name).await;
    }

    let mut connection = tokio::net::TcpStream::connect(backend).await.unwrap();
    let mut said = [0; 5];
    connection.write_all(b"hello").await.unwrap();
    connection.read_exact(&mut said).await.unwrap();
    for edit in 1..=10 {
        shop.route(100 - edit, edit).await;
    }
    connection.write_all(b"again").await.unwrap();
    connection.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"again");
    // A listener that changes drains, and cuts its connections once the drain time is over: none did.
    let drained = shop.proxies[1].admin("/stats?filter=^listener_manager.listener_modified$").await.unwrap();
    assert!(drained.contains("listener_modified: 0"), "{drained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_dataplane_s_proxy_stops_listening_and_a_restored_one_s_listens_again() {
    let (mut shop, backend) = Shop::with_two_versions(104).await;
    let web = shop.control_plane.get("/meshes/default/dataplanes/web").await.unwrap();
    shop.control_plane.delete("/meshes/default/dataplanes/web").await.unwrap();
    until("web's outbound to close", async || tokio::net::TcpStream::connect(backend).await.is_err()).await;

    shop.control_plane.apply(&web).await.unwrap();
    until("web's outbound to open again", async || testbed::ask(backend, "").await.is_ok()).await;
    let ended = shop.proxies.pop().unwrap().terminate().await.unwrap();
    assert!(ended.success(), "kuma-dp drains and ends well on SIGTERM: {ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_control_plane_reads_nothing_and_neither_does_a_get_or_a_push() {
    let (shop, _) = Shop::with_two_versions(105).await;
    let reads = async || shop.control_plane.metric("kuma_store_reads_total").await.unwrap();
    let before = reads().await;
    shop.route(50, 50).await;
    for _ in 0..100 {
        shop.control_plane.get("/meshes/default/dataplanes").await.unwrap();
    }
    assert!(reads().await <= before);
}
