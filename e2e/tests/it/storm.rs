//! A thousand proxies that come back at once cost a kuma-cp no more than a thousand that are there.
//!
//! They are simulated, each on a TLS connection of its own with a token of its own, and know afterwards to the byte what
//! they were told: of what they hold, that it is still right; and what has changed.

use std::{collections::BTreeMap, path::Path, time::Duration};

use bench::{
    process,
    simulated::{self, Change, Fleet, HttpApi, ResourceType, Topology, Traffic},
};
use testbed::{ControlPlane, Programs};

use crate::shop::until;

const PROXIES: u32 = 1000;
/// Of ten dataplanes each.
const SERVICES: u32 = 100;
const OUTBOUNDS: u32 = 5;

const PATIENCE: Duration = Duration::from_mins(2);

/// What wraps the resources of a response: the type and a nonce. Bytes.
const WRAPPING_MAX: u64 = 100;

/// How much more may be resident than before: percent of what it was, and KiB.
///
/// Two processes with the same contents are not the same to the byte, and the allocator, which gives back within seconds
/// what is not needed, keeps what is scattered among what is. The streams are most of the memory: were those of one storm
/// left behind, it would be half as much again.
const MEMORY_ALLOWED: (u64, u64) = (125, 4 << 10);

fn allowed_kib(before: u64) -> u64 {
    before * MEMORY_ALLOWED.0 / 100 + MEMORY_ALLOWED.1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_proxies_come_back_at_once_and_are_told_what_is_new_alone_in_the_memory_they_had() {
    simulated::allow_connections(PROXIES).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kuma_cp = Programs::find().unwrap().kuma_cp;
    let mut control_plane = ControlPlane::start(&kuma_cp, folder.path(), &[]).await.unwrap();
    let topology = Topology::new(PROXIES, SERVICES, OUTBOUNDS).unwrap();
    let api = HttpApi(&control_plane);
    api.register(topology).await.unwrap();
    api.put(&split(topology, 90)).await.unwrap();
    let tokens = api.tokens(topology).await.unwrap();

    let fleet = simulated::connect(&control_plane, topology, tokens).unwrap();
    fleet.configured(PATIENCE).await.unwrap();
    let settled = resident_kib(&control_plane);

    // All at once: each waits as long as the others after its stream broke.
    fleet.begin_round();
    control_plane.kill_9().await.unwrap();
    change_meanwhile(&kuma_cp, folder.path(), topology).await;
    control_plane.start_again().await.unwrap();
    let concerned = topology.members(0);
    let after_crash = answered(&control_plane, &fleet, concerned.len() as u64).await;
    assert_resumed(&after_crash);
    let told = BTreeMap::from([(ResourceType::Extension, concerned)]);
    assert_eq!(after_crash.told, told, "only those whose route was changed are told of anything new");
    let after_first = memory(&control_plane, allowed_kib(settled)).await;

    // The same process once more, of which nothing may be left behind.
    fleet.reconnect();
    let again = answered(&control_plane, &fleet, 0).await;
    assert_resumed(&again);
    assert_eq!(again.told, BTreeMap::new(), "nothing has changed meanwhile");
    memory(&control_plane, allowed_kib(after_first)).await;

    let alone = a_change_spreads(&control_plane, &fleet, topology).await;
    assert_eq!(
        bytes(&after_crash),
        bytes(&alone),
        "a change costs those who were away as much as those who were there"
    );
}

/// Each time another part of the fleet has been served, and the rest is in the middle of its handshakes and first words.
#[tokio::test(flavor = "multi_thread")]
async fn a_kuma_cp_killed_in_the_middle_of_one_storm_after_another_serves_everybody_in_the_end() {
    const FLEET: u32 = 200;
    simulated::allow_connections(FLEET).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kuma_cp = Programs::find().unwrap().kuma_cp;
    let mut control_plane = ControlPlane::start(&kuma_cp, folder.path(), &[]).await.unwrap();
    let topology = Topology::new(FLEET, FLEET / 10, OUTBOUNDS).unwrap();
    HttpApi(&control_plane).register(topology).await.unwrap();
    let tokens = HttpApi(&control_plane).tokens(topology).await.unwrap();
    let fleet = simulated::connect(&control_plane, topology, tokens).unwrap();
    for served in [1, 50, 300] {
        fleet.received(served, PATIENCE).await.unwrap();
        fleet.begin_round();
        control_plane.kill_9().await.unwrap();
        control_plane.start_again().await.unwrap();
    }
    fleet.configured(PATIENCE).await.unwrap();
    fleet.reconnect();
    let traffic = fleet.received(u64::from(FLEET) * 2, PATIENCE).await.unwrap();
    assert_eq!(traffic.told, BTreeMap::new(), "everybody has everything");
    a_change_spreads(&control_plane, &fleet, topology).await;
}

/// A split of what service 0 sends, in which nothing but the weights differs: its encoding is as long for any weight here.
fn split(topology: Topology, weight: u32) -> serde_json::Value {
    topology.split_route("split", 0, weight)
}

/// Over another kuma-cp on the same work directory, which no proxy can reach.
async fn change_meanwhile(kuma_cp: &Path, folder: &Path, topology: Topology) {
    let mut elsewhere = ControlPlane::start(kuma_cp, folder, &[]).await.unwrap();
    elsewhere.apply(&split(topology, 80)).await.unwrap();
    elsewhere.kill_9().await.unwrap();
}

/// Waits until every proxy has been answered about clusters and listeners, and the `changes` have come, while kuma-cp says all
/// the time that it is well.
async fn answered(control_plane: &ControlPlane, fleet: &Fleet, changes: u64) -> Traffic {
    let responses = u64::from(PROXIES) * 2 + changes;
    let answered = async { fleet.received(responses, PATIENCE).await.unwrap() };
    let health = async {
        loop {
            assert!(control_plane.is_ready().await, "health stays green");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! { _ = answered => {}, () = health => {} }
    fleet.configured(PATIENCE).await.unwrap();
    until("every proxy to be online", async || control_plane.online().await.unwrap() == PROXIES as usize)
        .await;
    fleet.traffic()
}

/// That a fleet which came back was told, of clusters and listeners, that nothing is new.
fn assert_resumed(traffic: &Traffic) {
    let confirmed = [ResourceType::Cluster, ResourceType::Listener];
    for resource_type in confirmed {
        assert_eq!(traffic.responses.get(&resource_type), Some(&u64::from(PROXIES)));
        assert_eq!(traffic.resource_bytes.get(&resource_type), Some(&0));
    }
    let changes: u64 = traffic.told.values().map(|proxies| proxies.len() as u64).sum();
    assert_eq!(traffic.all_responses(), u64::from(PROXIES) * 2 + changes);
    let wrapping = traffic.bytes - traffic.resource_bytes.values().sum::<u64>();
    assert!(wrapping < traffic.all_responses() * WRAPPING_MAX, "{wrapping} bytes beside resources");
}

/// Of the resources in all responses, by type; a type of which there was nothing is left out.
fn bytes(traffic: &Traffic) -> BTreeMap<ResourceType, u64> {
    traffic.resource_bytes.iter().filter(|(_, bytes)| **bytes > 0).map(|(it, bytes)| (*it, *bytes)).collect()
}

/// That whoever came back hears of changes, and nobody hears of another's.
async fn a_change_spreads(control_plane: &ControlPlane, fleet: &Fleet, topology: Topology) -> Traffic {
    let change =
        Change::Split { listener: Topology::split_listener(), cluster: topology.service_name(1), weight: 70 };
    fleet.expect(change, topology.members(0));
    control_plane.apply(&split(topology, 70)).await.unwrap();
    let spread = fleet.spread(PATIENCE, Duration::ZERO).await.unwrap();
    assert_eq!(spread.unexpected, 0, "{:?}", spread.first_unexpected);
    spread.traffic
}

fn resident_kib(control_plane: &ControlPlane) -> u64 {
    process::usage(control_plane.process().pid().expect("kuma-cp runs")).unwrap().resident_kib
}

/// Waits until no more than this is resident, and says how much is.
async fn memory(control_plane: &ControlPlane, allowed_kib: u64) -> u64 {
    until(&format!("{allowed_kib} KiB at most to be resident"), async || {
        resident_kib(control_plane) <= allowed_kib
    })
    .await;
    resident_kib(control_plane)
}
