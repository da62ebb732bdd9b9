//! What users rely on most, with the oldest Envoy that is supported. Everything else is tested with the newest.

use testbed::Programs;

use crate::{mesh, resume, shop::Shop, transfer};

fn programs() -> Programs {
    Programs::with_oldest_envoy().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_envoy_follows_routes() {
    let (shop, backend) = Shop::with_two_versions_of(programs(), 141, &[]).await;
    for proxy in &shop.proxies {
        let info = proxy.admin("/server_info").await.unwrap();
        assert!(info.contains("/1.36."), "it is the oldest that is asked here: {info}");
    }
    mesh::route_there_and_back(&shop, backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_kuma_cp_changes_nothing_in_the_oldest_envoy() {
    resume::restart_both_ways(programs(), 142, resume::CONFIRMATIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_through_the_oldest_envoy_outlives_edits_endpoints_a_crash_and_a_restart() {
    transfer::outlives_everything(programs(), 143).await;
}
