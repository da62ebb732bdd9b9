//! No new connection fails while configuration changes under it, and what Envoy refuses harms nothing else.

use std::{net::SocketAddr, sync::Arc};

use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::shop::{Shop, route, until};

/// Connections one after another, without a pause, until it is told to end.
struct Visitors {
    answered: watch::Receiver<u64>,
    end: Arc<watch::Sender<bool>>,
    visiting: JoinHandle<Result<(), String>>,
}

impl Visitors {
    fn of(service: SocketAddr) -> Self {
        let (count, answered) = watch::channel(0);
        let end = Arc::new(watch::Sender::new(false));
        let ended = end.subscribe();
        let visiting = tokio::spawn(async move {
            while !*ended.borrow() {
                let answer = testbed::ask(service, "").await;
                answer.map_err(|error| format!("after {} connections: {error:#}", *count.borrow()))?;
                count.send_modify(|count| *count += 1);
            }
            Ok(())
        });
        Self { answered, end, visiting }
    }

    /// Waits until so many more have been answered, or one has failed.
    async fn come(&mut self, more: u64) {
        let enough = *self.answered.borrow() + more;
        // Ended by a failure: `leave` says which.
        self.answered.wait_for(|answered| *answered >= enough).await.ok();
    }

    async fn leave(self) {
        self.end.send_replace(true);
        self.visiting.await.unwrap().unwrap();
    }
}

/// Each edit makes clusters that nothing has referred to, or the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn no_connection_fails_while_its_route_moves_between_clusters_that_come_and_go() {
    let (shop, backend) = Shop::with_two_versions(151).await;
    let mut visitors = Visitors::of(backend);
    visitors.come(10).await;
    for _ in 0..20 {
        for (v1, v2) in [(100, 0), (0, 100), (50, 50)] {
            shop.control_plane.apply(&route(v1, v2)).await.unwrap();
            visitors.come(3).await;
        }
        shop.control_plane.delete("/meshes/default/traffic-routes/web-to-backend").await.unwrap();
        visitors.come(3).await;
    }
    visitors.leave().await;
    let web = &shop.proxies[2];
    until("only the service's own cluster to be left", async || {
        let clusters = web.admin("/clusters").await.unwrap();
        clusters.contains("backend::") && !clusters.contains("backend{")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_fails_while_kuma_cp_is_killed_and_comes_back() {
    let (mut shop, backend) = Shop::with_two_versions(152).await;
    let mut visitors = Visitors::of(backend);
    for round in 1..=3 {
        shop.route(round, 100).await;
        visitors.come(10).await;
        shop.control_plane.kill_9().await.unwrap();
        visitors.come(10).await;
        shop.control_plane.start_again().await.unwrap();
        shop.until_online(3).await;
        visitors.come(10).await;
    }
    visitors.leave().await;
}

/// Made over another kuma-cp on the same work directory, which no proxy can reach.
#[tokio::test(flavor = "multi_thread")]
async fn no_connection_fails_when_proxies_come_back_to_a_route_that_has_moved_to_new_clusters() {
    let (mut shop, backend) = Shop::with_two_versions(154).await;
    let mut visitors = Visitors::of(backend);
    for (v1, v2) in [(100, 0), (0, 100), (100, 0), (0, 100)] {
        visitors.come(10).await;
        shop.control_plane.kill_9().await.unwrap();
        let mut elsewhere = shop.elsewhere().await;
        elsewhere.apply(&route(v1, v2)).await.unwrap();
        elsewhere.kill_9().await.unwrap();
        shop.control_plane.start_again().await.unwrap();
        let arrived = if v1 > 0 { "backend{version=v1}" } else { "backend{version=v2}" };
        until("the route to arrive", async || {
            let clusters = shop.proxies[2].admin("/clusters").await.unwrap();
            clusters.contains(arrived) && clusters.matches("::default_priority::max_connections").count() == 3
        })
        .await;
    }
    visitors.leave().await;
}

/// An outbound on a port that somebody else has: Envoy refuses that listener, keeps the others, and takes it once the port
/// is free, although nothing has changed by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_envoy_refuses_harms_no_other_is_shown_and_heals() {
    let (shop, backend) = Shop::with_two_versions(153).await;
    let mut visitors = Visitors::of(backend);
    visitors.come(10).await;
    let taken = shop.outbound(10_002);
    let occupant = TcpListener::bind(taken).await.unwrap();
    let mut web = shop.control_plane.get("/meshes/default/dataplanes/web").await.unwrap();
    let outbounds = web["networking"]["outbound"].as_array_mut().unwrap();
    outbounds.push(json!({"interface": taken.to_string(), "service": "backend"}));
    shop.control_plane.apply(&web).await.unwrap();
    until("its insight to say so", async || rejected_listeners(&shop).await > 0).await;

    // Refused is refused: what else changes arrives.
    shop.control_plane.apply(&route(0, 100)).await.unwrap();
    until("the route to count", async || {
        crate::shop::answers(backend, 10).await.iter().all(|it| it == "backend-v2")
    })
    .await;
    let rejections = shop.control_plane.count("kuma_xds_rejections_total").await.unwrap();
    assert!(rejections < 5, "{rejections} rejections: the same is not offered over and over");
    assert!(testbed::ask(taken, "").await.is_err(), "the port is somebody else's");

    says_what_was_refused(&shop, taken).await;

    drop(occupant);
    until("the listener to be taken", async || testbed::ask(taken, "").await.is_ok()).await;
    visitors.come(10).await;
    visitors.leave().await;
    let stat = "listener_manager.listener_modified";
    assert_eq!(shop.proxies[2].stat(stat).await.unwrap(), 0, "the other listeners were left alone");
    let inspection = shop.control_plane.get(INSPECTION).await.unwrap();
    assert!(states(&inspection).iter().all(|(_, state)| state == "synced"), "{inspection:#}");
}

const INSPECTION: &str = "/meshes/default/dataplanes/web/xds";

/// Of each resource, by name.
fn states(inspection: &Value) -> Vec<(String, String)> {
    let word = |resource: &Value, member: &str| resource[member].as_str().unwrap().to_owned();
    let resources = inspection["resources"].as_array().unwrap();
    resources.iter().map(|it| (word(it, "name"), word(it, "state"))).collect()
}

/// Which of the user's resources it comes from, in which revision, and why, in Envoy's words; and of nothing else.
async fn says_what_was_refused(shop: &Shop, taken: SocketAddr) {
    let listener = format!("outbound:{taken}");
    let inspection = shop.control_plane.get(INSPECTION).await.unwrap();
    let resources = inspection["resources"].as_array().unwrap();
    let refused = resources.iter().find(|it| it["name"] == *listener).unwrap();
    assert_eq!((&refused["type"], &refused["state"]), (&json!("Listener"), &json!("rejected")));
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("cannot bind") && error.contains("Address already in use"), "{error}");
    assert_eq!(refused["sources"][0]["type"], "Dataplane");
    assert_eq!(refused["sources"][0]["name"], "web");
    let refused = |(name, state): &(String, String)| state == "rejected" && *name != listener;
    assert!(!states(&inspection).iter().any(refused), "{inspection:#}");

    let said = shop.kumactl(&["inspect", "dataplane", "web"]).await;
    for words in [&*listener, "rejected", "Address already in use", "It comes from Dataplane web (revision "]
    {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
}

/// How many responses with listeners web's Envoy has refused, by what its insight says.
async fn rejected_listeners(shop: &Shop) -> u64 {
    let overview = shop.control_plane.get("/meshes/default/dataplanes+insights/web").await.unwrap();
    let subscriptions = overview["dataplaneInsight"]["subscriptions"].as_array().cloned().unwrap_or_default();
    let rejected = |it: &Value| it["status"]["lds"]["responsesRejected"].as_str()?.parse::<u64>().ok();
    subscriptions.iter().filter_map(rejected).sum()
}
