//! The state-of-the-world protocol, for whoever has a bootstrap of their own: Envoys that speak it do what those do that
//! speak the other one.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tempfile::TempDir;
use testbed::{Answer, Programs, Service};

use crate::{
    mesh, permission_transfer, permissive, resume,
    shop::{Shop, until},
    templates, transfer,
};

/// An Envoy whose bootstrap, made for the incremental protocol, asks for the other one. It lasts as long as its folder.
fn in_states(programs: Programs) -> (Programs, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let envoy = folder.path().join("envoy");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = -c ]; then sed -i s/DELTA_GRPC/GRPC/ \"$2\"; fi\nexec {} \"$@\"\n",
        programs.envoy.display()
    );
    fs::write(&envoy, script).unwrap();
    fs::set_permissions(&envoy, fs::Permissions::from_mode(0o755)).unwrap();
    (Programs { envoy, ..programs }, folder)
}

async fn follows_routes(programs: Programs, network: u8) {
    let (programs, _folder) = in_states(programs);
    let (shop, backend) = Shop::with_two_versions_of(programs, network, &[]).await;
    let streams = async |protocol| {
        shop.control_plane.count(&format!("kuma_xds_streams{{protocol=\"{protocol}\"}}")).await.unwrap()
    };
    assert_eq!((streams("delta").await, streams("sotw").await), (0, 3));
    mesh::route_there_and_back(&shop, backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_follows_routes() {
    follows_routes(Programs::find().unwrap(), 161).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_envoy_follows_routes() {
    follows_routes(Programs::with_oldest_envoy().unwrap(), 162).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_kuma_cp_changes_nothing() {
    let (programs, _folder) = in_states(Programs::find().unwrap());
    resume::restart_both_ways(programs, 163, resume::Protocol::StateOfTheWorld).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_outlives_edits_endpoints_a_crash_and_a_restart_byte_for_byte() {
    let (programs, _folder) = in_states(Programs::find().unwrap());
    transfer::outlives_everything(programs, 164).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_outlives_all_but_its_own_revocation() {
    let (programs, _folder) = in_states(Programs::find().unwrap());
    permission_transfer::outlives_all_but_its_own_revocation(programs, 165).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_is_turned_on_and_off_without_a_refused_connection() {
    let (programs, _folder) = in_states(Programs::find().unwrap());
    permissive::on_and_off(programs, 166).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_envoy_rejects_of_a_template_costs_nothing_else() {
    let (programs, _folder) = in_states(Programs::find().unwrap());
    templates::rejections_cost_nothing_else(programs, 189).await;
}

/// Envoy has taken what was good of sets that it refused, and comes back with the versions of those before.
#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_went_unheard_leaves_nothing_of_a_set_that_was_refused() {
    let (programs, _folder) = in_states(Programs::find().unwrap());
    let mut mesh = templates::Mesh::open_with(programs, 190).await;
    let extra = Service::start("extra", Answer::Name).await.unwrap();
    let address = mesh.shop.outbound(10_002);
    // As it is made for the proxy, but for the time.
    let edited = "'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster\nname: backend\ntype: EDS\nconnect_timeout: \
                  77s\neds_cluster_config: { eds_config: { ads: {}, resource_api_version: V3 } }\n";
    let bad = "'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster\nname: bad\ntype: ORIGINAL_DST\nlb_policy: \
               ROUND_ROBIN\nconnect_timeout: 5s\n";
    let resources = [
        edited.to_owned(),
        bad.to_owned(),
        templates::cluster("extra", extra.port()),
        templates::listener("a-good", address, "extra"),
        templates::listener("b-elsewhere", "192.0.2.1:80".parse().unwrap(), "extra"),
    ];
    mesh.apply(&resources.each_ref().map(String::as_str)).await;
    mesh.until_rejected("b-elsewhere").await;
    until("the good listener to serve", async || testbed::ask(address, "").await.is_ok()).await;
    assert!(clusters(&mesh).await.contains("77s"), "Envoy has taken it");
    let rejections = mesh.shop.control_plane.count("kuma_xds_rejections_total{type=\"cds\"}").await;
    assert!(rejections.unwrap() > 0, "with a set that it refused");

    mesh.shop.control_plane.kill_9().await.unwrap();
    let mut elsewhere = mesh.shop.elsewhere().await;
    elsewhere.delete("/meshes/default/proxytemplates/extra").await.unwrap();
    elsewhere.kill_9().await.unwrap();
    mesh.shop.control_plane.start_again().await.unwrap();

    until("nobody to listen there any more", async || testbed::ask(address, "").await.is_err()).await;
    until("the cluster to be as it was", async || !clusters(&mesh).await.contains("77s")).await;
    assert!(mesh.answers("backend").await);
}

/// Those of web, active or warming.
async fn clusters(mesh: &templates::Mesh) -> String {
    let web = mesh.shop.proxies.last().unwrap();
    web.admin("/config_dump").await.unwrap()
}
