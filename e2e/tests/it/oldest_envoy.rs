//! What users rely on most, with the oldest Envoy that is supported. Everything else is tested with the newest.

use testbed::Programs;

use crate::{
    mesh, permission_transfer, permissions, permissive, resume,
    secured::{Plain, Refusal},
    shop::Shop,
    traffic_logs, transfer,
};

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
    resume::restart_both_ways(programs(), 142, resume::Protocol::Delta).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_through_the_oldest_envoy_outlives_edits_endpoints_a_crash_and_a_restart() {
    transfer::outlives_everything(programs(), 143).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_envoy_lets_in_by_a_permission_and_by_nothing_else() {
    permissions::by_a_permission_and_by_nothing_else(plain(144)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_speaks_first_says_nothing_to_who_is_refused_by_the_oldest_envoy() {
    permissions::nothing_to_who_is_refused(plain(147)).await;
}

fn plain(network: u8) -> Plain<'static> {
    let (programs, refusal) = (programs(), Refusal::Connected);
    Plain { programs, refusal, ..Plain::of(network, permissions::CLIENTS) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_through_the_oldest_envoy_outlives_all_but_its_own_revocation() {
    permission_transfer::outlives_all_but_its_own_revocation(programs(), 145).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_is_turned_on_and_off_in_the_oldest_envoy_without_a_refused_connection() {
    permissive::on_and_off(programs(), 146).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_through_the_oldest_envoy_are_logged() {
    traffic_logs::who_called_whom(programs(), 148).await;
}
