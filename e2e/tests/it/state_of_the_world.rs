//! The state-of-the-world protocol, for whoever has a bootstrap of their own: Envoys that speak it do what those do that
//! speak the other one.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tempfile::TempDir;
use testbed::Programs;

use crate::{mesh, permission_transfer, permissive, resume, shop::Shop, templates, transfer};

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
    resume::restart_both_ways(programs, 163, resume::CONFIRMATIONS_OF_STATES).await;
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
