//! A Dataplane or a Mesh that is deleted empties its proxies, one that is not known leaves them as they are, and either is
//! made good by applying it.

use std::{fs, net::SocketAddr, path::Path};

use serde_json::{Value, json};
use testbed::Proxy;

use crate::shop::{Shop, until};

const MESH: &str = "market";

/// web and backend in a mesh of their own, without their proxies yet.
async fn market(network: u8) -> (Shop, SocketAddr) {
    let mut shop = Shop::open(network, &[]).await;
    shop.move_to_mesh(MESH);
    let backend = shop.outbound(10_001);
    (shop, backend)
}

async fn make_mesh(shop: &Shop) {
    shop.control_plane.apply(&json!({"type": "Mesh", "name": MESH})).await.unwrap();
}

async fn register(shop: &mut Shop, backend: SocketAddr) -> [Value; 2] {
    shop.register("backend", json!({"service": "backend"}), &[]).await;
    shop.register("web", json!({"service": "web"}), &[(backend, "backend")]).await;
    let path = |name: &str| format!("/meshes/{MESH}/dataplanes/{name}");
    [
        shop.control_plane.get(&path("backend")).await.unwrap(),
        shop.control_plane.get(&path("web")).await.unwrap(),
    ]
}

async fn apply(shop: &Shop, entities: &[Value]) {
    for entity in entities {
        shop.control_plane.apply(entity).await.unwrap();
    }
}

async fn start_proxies(shop: &mut Shop) {
    for name in ["backend", "web"] {
        shop.start_proxy(name).await;
    }
}

async fn listeners(proxy: &Proxy) -> String {
    proxy.admin("/listeners").await.unwrap()
}

/// How often Envoy has asked for a stream. As long as it stays, the stream is the same.
async fn streams_begun(proxy: &Proxy) -> u64 {
    proxy.stat("cluster.ads_cluster.upstream_rq_total").await.unwrap()
}

async fn until_traffic(backend: SocketAddr) {
    until("web to reach backend", async || testbed::ask(backend, "").await.is_ok_and(|it| it == "backend"))
        .await;
}

/// Whether so many of our proxies have a stream open.
async fn until_streams(shop: &Shop, count: u64) {
    until("the streams", async || shop.control_plane.count("kuma_xds_streams").await.unwrap() == count).await;
}

/// Whether this kuma-cp has told so many proxies about their listeners, which is what comes last but for filters.
async fn until_served(shop: &Shop, count: u64) {
    until("all to be served", async || {
        shop.control_plane.count("kuma_xds_responses_total{type=\"lds\"}").await.unwrap() == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataplane_deleted_and_restored_empties_and_fills_its_envoy_on_one_stream() {
    let (mut shop, backend) = market(131).await;
    make_mesh(&shop).await;
    let [_, web] = register(&mut shop, backend).await;
    start_proxies(&mut shop).await;
    until_traffic(backend).await;
    let proxy = &shop.proxies[1];
    let (streams, before) = (streams_begun(proxy).await, listeners(proxy).await);
    assert!(before.contains("inbound:") && before.contains("outbound:"), "{before}");

    for _ in 0..2 {
        shop.control_plane.delete(&format!("/meshes/{MESH}/dataplanes/web")).await.unwrap();
        until("no listener is left", async || listeners(proxy).await.is_empty()).await;
        until("no cluster is left but the control plane's", async || {
            proxy.stat("cluster_manager.active_clusters").await.unwrap() == 1
        })
        .await;
        let others = listeners(&shop.proxies[0]).await;
        assert!(others.contains("inbound:"), "its neighbour keeps what it has: {others}");

        apply(&shop, std::slice::from_ref(&web)).await;
        until("its listeners are back", async || listeners(proxy).await == before).await;
        until_traffic(backend).await;
    }
    assert_eq!(streams_begun(proxy).await, streams, "it was all said on the same stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_deleted_empties_its_envoys_also_those_that_come_back_later_and_one_made_again_fills_them() {
    let (mut shop, backend) = market(132).await;
    make_mesh(&shop).await;
    let dataplanes = register(&mut shop, backend).await;
    start_proxies(&mut shop).await;
    until_traffic(backend).await;
    let streams = streams_begun(&shop.proxies[1]).await;

    shop.control_plane.delete(&format!("/meshes/{MESH}")).await.unwrap();
    for proxy in &shop.proxies {
        until("no listener is left", async || listeners(proxy).await.is_empty()).await;
    }
    assert_eq!(streams_begun(&shop.proxies[1]).await, streams, "it was said on the stream that was open");

    // Deleted is remembered, also by a kuma-cp that never had the mesh: who comes back is let in, and told nothing new.
    shop.control_plane.kill_9().await.unwrap();
    shop.control_plane.start_again().await.unwrap();
    until_streams(&shop, 2).await;
    for proxy in &shop.proxies {
        assert_eq!(listeners(proxy).await, "");
    }

    make_mesh(&shop).await;
    apply(&shop, &dataplanes).await;
    until_traffic(backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_deleted_while_its_envoys_were_away_empties_them_when_they_come_back() {
    let (mut shop, backend) = market(133).await;
    make_mesh(&shop).await;
    register(&mut shop, backend).await;
    start_proxies(&mut shop).await;
    until_traffic(backend).await;

    shop.control_plane.kill_9().await.unwrap();
    // Another kuma-cp on the same work directory, which no proxy can reach.
    let mut elsewhere = shop.elsewhere().await;
    elsewhere.delete(&format!("/meshes/{MESH}")).await.unwrap();
    elsewhere.kill_9().await.unwrap();
    testbed::ask(backend, "").await.expect("they serve as long as nobody has told them");
    shop.control_plane.start_again().await.unwrap();
    for proxy in &shop.proxies {
        until("no listener is left", async || listeners(proxy).await.is_empty()).await;
    }
}

/// Restored from a backup that is older than they are: nobody has deleted them, so nothing is emptied.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_restored_backup_lacks_keeps_its_envoys_serving_until_it_is_applied() {
    let (mut shop, backend) = market(134).await;
    let without_mesh = backup(&mut shop, "without-mesh").await;
    make_mesh(&shop).await;
    let without_dataplanes = backup(&mut shop, "without-dataplanes").await;
    let dataplanes = register(&mut shop, backend).await;
    start_proxies(&mut shop).await;
    until_traffic(backend).await;

    // The mesh is known, and its Dataplanes are not: the streams stay, and not a word is said on them.
    restore(&mut shop, &without_dataplanes).await;
    until_streams(&shop, 2).await;
    until("kuma-cp to say so", async || log(&shop).contains("there is no such Dataplane")).await;
    testbed::ask(backend, "").await.unwrap();
    assert_eq!(shop.control_plane.count("kuma_xds_responses_total").await.unwrap(), 0);
    apply(&shop, &dataplanes).await;
    until_served(&shop, 2).await;
    until_traffic(backend).await;

    // Not even the mesh is known: they are refused, and come back by themselves when it is.
    restore(&mut shop, &without_mesh).await;
    let refused = "there is no mesh market; apply it first";
    until("their refusal", async || log(&shop).contains(refused)).await;
    testbed::ask(backend, "").await.unwrap();
    assert_eq!(shop.control_plane.count("kuma_xds_streams").await.unwrap(), 0);
    make_mesh(&shop).await;
    apply(&shop, &dataplanes).await;
    until_served(&shop, 2).await;
    for proxy in &shop.proxies {
        let touched = ["listener_modified", "listener_removed"].map(|it| format!("listener_manager.{it}"));
        assert_eq!((proxy.stat(&touched[0]).await.unwrap(), proxy.stat(&touched[1]).await.unwrap()), (0, 0));
    }
    until_traffic(backend).await;
}

/// What this kuma-cp has logged since it was started.
fn log(shop: &Shop) -> String {
    shop.control_plane.process().output()
}

/// A copy of the store, made while kuma-cp is stopped.
async fn backup(shop: &mut Shop, name: &str) -> std::path::PathBuf {
    shop.control_plane.terminate().await.unwrap();
    let copy = shop.folder.path().join(name);
    fs::create_dir(&copy).unwrap();
    copy_store(shop.control_plane.work_dir(), &copy);
    shop.control_plane.start_again().await.unwrap();
    copy
}

async fn restore(shop: &mut Shop, backup: &Path) {
    shop.control_plane.terminate().await.unwrap();
    copy_store(backup, shop.control_plane.work_dir());
    shop.control_plane.start_again().await.unwrap();
}

/// The database as a whole: of what is not in `from`, nothing may be left in `to`.
fn copy_store(from: &Path, to: &Path) {
    for file in ["kuma.db", "kuma.db-wal", "kuma.db-shm"] {
        match fs::copy(from.join(file), to.join(file)) {
            Ok(_) => {}
            Err(_) => drop(fs::remove_file(to.join(file))),
        }
    }
    assert!(to.join("kuma.db").exists());
}
