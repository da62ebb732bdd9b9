//! Who gets a stream from a real kuma-cp, and what one that misbehaves costs the others: nothing.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use bench::simulated::{self, Change, Fleet, HttpApi, Topology};
use serde_json::Value;
use testbed::{ControlPlane, Programs, Settings};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::interval};

use crate::shop::until;

const PATIENCE: Duration = Duration::from_mins(1);

/// Ten services of two dataplanes each, without their proxies.
struct World {
    control_plane: ControlPlane,
    topology: Topology,
    _folder: tempfile::TempDir,
}

impl World {
    async fn empty(settings: Settings<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kuma_cp = Programs::find().unwrap().kuma_cp;
        let control_plane = ControlPlane::start(&kuma_cp, folder.path(), settings).await.unwrap();
        Self { control_plane, topology: Topology::new(20, 10, 3).unwrap(), _folder: folder }
    }

    async fn registered(settings: Settings<'_>) -> Self {
        let world = Self::empty(settings).await;
        world.api().register(world.topology).await.unwrap();
        world
    }

    fn api(&self) -> HttpApi<'_> {
        HttpApi(&self.control_plane)
    }

    async fn tokens(&self) -> Vec<String> {
        self.api().tokens(self.topology).await.unwrap()
    }

    /// As many of the topology's proxies as there are tokens.
    fn connect(&self, tokens: Vec<String>) -> Fleet {
        simulated::connect(&self.control_plane, self.topology, tokens).unwrap()
    }

    /// Splits what service 0 sends, and waits until its proxies alone have heard of it.
    async fn change_spreads(&self, fleet: &Fleet, weight: u32) {
        let (listener, cluster) = (Topology::split_listener(), self.topology.service_name(1));
        fleet.expect(Change::Split { listener, cluster, weight }, self.topology.members(0));
        self.api().put(&self.topology.split_route("split", 0, weight)).await.unwrap();
        let spread = fleet.spread(PATIENCE, Duration::ZERO).await.unwrap();
        assert_eq!(spread.unexpected, 0, "{:?}", spread.first_unexpected);
    }

    async fn streams(&self) -> u64 {
        self.control_plane.count("kuma_xds_streams").await.unwrap()
    }

    async fn insight(&self, proxy: u32) -> Value {
        let name = Topology::dataplane_name(proxy);
        let path = format!("/meshes/default/dataplanes+insights/{name}");
        self.control_plane.get(&path).await.unwrap()["dataplaneInsight"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataplane_that_was_never_applied_waits_on_its_stream_until_it_is() {
    let world = World::empty(&[]).await;
    let fleet = world.connect(world.tokens().await);
    let all = u64::from(world.topology.proxies);
    until("all streams to be open", async || world.streams().await == all).await;
    until("kuma-cp to say so", async || {
        world.control_plane.process().output().contains("there is no such Dataplane")
    })
    .await;
    assert_eq!(fleet.traffic().all_responses(), 0, "an empty configuration is for what was deleted");

    world.api().register(world.topology).await.unwrap();
    let served = fleet.configured(PATIENCE).await.unwrap();
    assert!(served.lost.is_empty(), "on the streams that were open: {:?}", served.lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_no_stream_for_another_dataplane_and_garbage_opens_none() {
    let world = World::registered(&[]).await;
    let tokens = world.tokens().await;
    let elsewhere = world.control_plane.token("elsewhere", &Topology::dataplane_name(0)).await.unwrap();
    let refused: [(&str, &str, &[&str]); 5] = [
        ("of another Dataplane", &tokens[1], &["gRPC status 7", "give each Dataplane its own token"]),
        ("of another mesh", &elsewhere, &["gRPC status 7"]),
        ("cut off", &tokens[0][..tokens[0].len() - 2], &["gRPC status 16"]),
        ("garbage", "garbage", &["gRPC status 16"]),
        ("none", "", &["gRPC status 16"]),
    ];
    for (what, token, words) in refused {
        let fleet = world.connect(vec![token.to_owned()]);
        until("its refusal", async || !fleet.lost().is_empty()).await;
        let sentence = fleet.lost().keys().next().unwrap().replace("%20", " ");
        assert!(words.iter().all(|word| sentence.contains(word)), "{what}: {sentence}");
        assert!(token.len() < 20 || !sentence.contains(token), "a token is never repeated");
        assert_eq!(fleet.traffic().all_responses(), 0, "{what}");
    }
    world.connect(tokens).configured(PATIENCE).await.unwrap();
}

/// The status is written once an hour here, so that a second write would show.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_flaps_ten_times_a_second_leaves_ten_subscriptions_in_one_write_and_the_others_alone() {
    const FLAPS: u32 = 40;
    const KEPT: usize = 10;
    let interval_setting = "KUMA_XDS_SERVER_DATAPLANE_STATUS_FLUSH_INTERVAL";
    let mut world = World::registered(&[(interval_setting, "1h")]).await;
    let tokens = world.tokens().await;
    let last = tokens[..1].to_vec();
    // Number 0 has a proxy that is well and one that flaps, which are two streams of one Dataplane.
    let fleet = world.connect(tokens);
    fleet.configured(PATIENCE).await.unwrap();
    until("the first status", async || world.insight(0).await["subscriptions"].is_array()).await;
    let flapping = world.connect(last);
    flapping.configured(PATIENCE).await.unwrap();

    let written = world.insight(0).await;
    let plans = world.control_plane.count("kuma_plans_total").await.unwrap();
    let mut ticks = interval(Duration::from_millis(100));
    for flap in 1..=FLAPS {
        ticks.tick().await;
        flapping.reconnect();
        if flap % 8 == 0 {
            world.change_spreads(&fleet, flap).await;
        }
    }
    flapping.configured(PATIENCE).await.unwrap();
    assert_eq!(world.insight(0).await, written, "written once an hour");
    // Each of its streams is planned for when it opens and when what it reads changes; all else are the changes.
    let changes = u64::from(FLAPS / 8);
    let members = world.topology.members(0).len() as u64;
    let planned = world.control_plane.count("kuma_plans_total").await.unwrap() - plans;
    let most = u64::from(FLAPS) + changes * (members + 1);
    assert!(planned <= most, "{planned} plans, and {most} are enough");

    // What has not been written is, at the end; of what has ended the newest are kept.
    assert!(world.control_plane.terminate().await.unwrap().success());
    world.control_plane.start_again().await.unwrap();
    let insight = world.insight(0).await;
    let subscriptions = insight["subscriptions"].as_array().unwrap();
    assert_eq!(subscriptions.len(), KEPT, "{insight:#}");
    let ids: BTreeSet<&str> = subscriptions.iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), KEPT);
}

/// On the port where proxies come in, from clients that nobody has authenticated.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_half_open_handshakes_on_the_port_cost_a_fleet_nothing() {
    let world = World::registered(&[]).await;
    let fleet = world.connect(world.tokens().await);
    fleet.configured(PATIENCE).await.unwrap();
    let xds = world.control_plane.xds();
    let silent = half_open(xds, b"", 100).await;
    let stuck = half_open(xds, &[22, 3, 1, 2, 0, 1, 0], 100).await;
    let garbage = half_open(xds, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", 100).await;
    let mut random = fastrand::Rng::with_seed(15);
    let random: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(64 << 10).collect();
    let noise = half_open(xds, &random, 20).await;

    world.change_spreads(&fleet, 30).await;
    fleet.reconnect();
    fleet.configured(PATIENCE).await.unwrap();
    world.change_spreads(&fleet, 40).await;
    assert!(world.control_plane.is_ready().await);
    drop((silent, stuck, garbage, noise));
}

/// Connections on which this was said, as far as anybody wanted to hear it.
async fn half_open(address: SocketAddr, said: &[u8], count: usize) -> Vec<TcpStream> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(said).await.ok();
        connections.push(tcp);
    }
    connections
}
