//! A kuma-cp that comes back tells an Envoy nothing that it knows already: no listener, cluster or filter is touched, and
//! what has changed meanwhile arrives alone.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::{Value, json};
use testbed::{ControlPlane, Programs, Proxy};

use crate::shop::{Shop, answers, until};

/// What Envoy has made of all that it was told: the counters of what was added, changed or removed. A confirmation of what
/// it has counts in none of them.
#[derive(Debug, PartialEq, Eq)]
struct Changes(BTreeMap<String, u64>);

const COUNTERS: [&str; 6] = [
    "cluster_manager.cluster_added",
    "cluster_manager.cluster_modified",
    "cluster_manager.cluster_removed",
    "listener_manager.listener_added",
    "listener_manager.listener_modified",
    "listener_manager.listener_removed",
];

/// Begins and ends the counter of a filter that came by ECDS.
const FILTER: (&str, &str) = ("extension_config_discovery.network_filter.", ".config_reload");

fn filter_counter(outbound: SocketAddr) -> String {
    format!("{}tcp_outbound_{}_{}{}", FILTER.0, outbound.ip(), outbound.port(), FILTER.1)
}

impl Changes {
    async fn of(proxy: &Proxy) -> Self {
        let stats = proxy.admin("/stats").await.unwrap();
        let stats = stats.lines().filter_map(|line| line.split_once(": "));
        let is_filter = |name: &str| name.starts_with(FILTER.0) && name.ends_with(FILTER.1);
        let counters = stats.filter(|(name, _)| COUNTERS.contains(name) || is_filter(name));
        Self(counters.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect())
    }

    /// Which counters have grown since, and by how much.
    fn since(&self, before: &Self) -> BTreeMap<&str, u64> {
        let grown = self.0.iter().map(|(name, now)| (&**name, now - before.0.get(name).unwrap_or(&0)));
        grown.filter(|(_, more)| *more > 0).collect()
    }
}

async fn changes(shop: &Shop) -> Vec<Changes> {
    let mut all = Vec::new();
    for proxy in &shop.proxies {
        all.push(Changes::of(proxy).await);
    }
    all
}

/// How many responses this kuma-cp has sent: of clusters, endpoints, listeners, filters.
async fn responses(control_plane: &ControlPlane) -> [u64; 4] {
    let mut counts = [0; 4];
    for (count, r#type) in counts.iter_mut().zip(["cds", "eds", "lds", "ecds"]) {
        let series = format!("kuma_xds_responses_total{{type=\"{type}\"}}");
        *count = control_plane.count(&series).await.unwrap();
    }
    counts
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Delta,
    StateOfTheWorld,
}

impl Protocol {
    /// What three proxies must be answered with when they come back and nothing is new.
    fn confirmations(self) -> [u64; 4] {
        match self {
            // That nothing is new of clusters and listeners.
            Self::Delta => [3, 0, 3, 0],
            // One version stands for all resources of a type, and that of a set does not tell what Envoy has of one that it
            // refused later: all but the endpoints is said again.
            Self::StateOfTheWorld => [3, 0, 3, 3],
        }
    }
}

async fn until_all_are_back(shop: &Shop, confirmations: [u64; 4]) {
    shop.until_online(3).await;
    until("all to be answered", async || {
        let sent = responses(&shop.control_plane).await;
        sent.iter().zip(confirmations).all(|(sent, expected)| *sent >= expected)
    })
    .await;
}

/// What was in each response with clusters or listeners, of which an Envoy that comes back asks for what is new only.
fn sent_unasked(control_plane: &ControlPlane) -> Vec<String> {
    let log = control_plane.process().output();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_unasked = |line: &Value| {
        line["msg"] == "sent" && (line["resource_type"] == "Cluster" || line["resource_type"] == "Listener")
    };
    let content =
        |line: Value| [&line["resources"], &line["removed"]].map(|it| it.as_str().unwrap().to_owned());
    lines.filter(is_unasked).map(|line| content(line).concat()).collect()
}

#[derive(Clone, Copy, Debug)]
enum End {
    Kill9,
    Terminate,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_changes_nothing_in_any_envoy_and_the_next_change_arrives_alone() {
    restart_both_ways(Programs::find().unwrap(), 108, Protocol::Delta).await;
}

pub(crate) async fn restart_both_ways(programs: Programs, network: u8, protocol: Protocol) {
    let confirmations = protocol.confirmations();
    // So that its log says what was in each response.
    let settings = [("KUMA_LOG_LEVEL", "debug")];
    let (mut shop, backend) = Shop::with_two_versions_of(programs, network, &settings).await;
    // By the same steps as between the rounds.
    shop.route(0, 100).await;
    shop.route(60, 40).await;
    for (end, (v1, v2), answering) in
        [(End::Kill9, (0, 100), "backend-v2"), (End::Terminate, (100, 0), "backend-v1")]
    {
        let before = changes(&shop).await;
        match end {
            End::Kill9 => shop.control_plane.kill_9().await.unwrap(),
            End::Terminate => assert!(shop.control_plane.terminate().await.unwrap().success()),
        }
        shop.control_plane.start_again().await.unwrap();
        until_all_are_back(&shop, confirmations).await;
        assert_eq!(changes(&shop).await, before, "{end:?}");
        assert_eq!(responses(&shop.control_plane).await, confirmations, "{end:?}");
        if protocol == Protocol::Delta {
            let sent = sent_unasked(&shop.control_plane);
            assert!(sent.iter().all(String::is_empty), "{end:?}: they are confirmed: {sent:?}");
        }

        shop.route(v1, v2).await;
        assert!(answers(backend, 20).await.iter().all(|it| it == answering), "{end:?}");
        let after = changes(&shop).await;
        assert_eq!(after[..2], before[..2], "{end:?}: the backends have nothing to do with it");
        let filter = filter_counter(backend);
        let changed = [("cluster_manager.cluster_removed", 1), (&*filter, 1)];
        assert_eq!(after[2].since(&before[2]), BTreeMap::from(changed), "{end:?}");
        // Back to two clusters, so that the next round begins as this one did.
        shop.route(60, 40).await;
    }
}

/// Made over another kuma-cp on the same work directory, which no proxy can reach.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_while_no_proxy_could_hear_it_arrives_alone() {
    let (mut shop, _) = Shop::with_two_versions(109).await;
    let before = changes(&shop).await;
    shop.control_plane.kill_9().await.unwrap();
    let mut elsewhere = shop.elsewhere().await;
    let mut web = elsewhere.get("/meshes/default/dataplanes/web").await.unwrap();
    let outbounds = web["networking"]["outbound"].as_array_mut().unwrap();
    let outbound = shop.outbound(10_002);
    outbounds.push(json!({"interface": outbound.to_string(), "service": "backend-of-tomorrow"}));
    elsewhere.apply(&web).await.unwrap();
    elsewhere.kill_9().await.unwrap();

    shop.control_plane.start_again().await.unwrap();
    until_all_are_back(&shop, Protocol::Delta.confirmations()).await;
    let is_new = async || shop.proxies[2].stat("listener_manager.total_listeners_active").await.unwrap() == 3;
    until("web's new outbound", is_new).await;
    let after = changes(&shop).await;
    assert_eq!(after[..2], before[..2], "nobody else has anything to do with it");
    let filter = filter_counter(outbound);
    let new = [("cluster_manager.cluster_added", 1), (&*filter, 1), ("listener_manager.listener_added", 1)];
    assert_eq!(after[2].since(&before[2]), BTreeMap::from(new));
}
