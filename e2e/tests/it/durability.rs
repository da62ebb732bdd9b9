//! What was acknowledged is there, whenever the control plane is killed; Envoys keep serving meanwhile.

use serde_json::json;

use crate::shop::{Shop, answers};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9_at_any_moment() {
    const WRITERS: usize = 8;
    let mut shop = Shop::open(111, &[]).await;
    let mut acknowledged = Vec::new();
    let mut stored = 0;
    for round in 0..5 {
        let url = shop.control_plane.url();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write_until_refused(url.clone(), round, writer)))
            .collect();
        // Killed after a number of writes that differs each round, in the middle of the next ones.
        let enough = 20 + 37 * round;
        crate::shop::until("some writes", async || {
            let all = shop.control_plane.get("/meshes/default/dataplanes").await.unwrap();
            all["items"].as_array().unwrap().len() >= stored + enough
        })
        .await;
        shop.control_plane.kill_9().await.unwrap();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        shop.control_plane.start_again().await.unwrap();
        let all = shop.control_plane.get("/meshes/default/dataplanes").await.unwrap();
        let there: std::collections::BTreeSet<_> = all["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect();
        let lost: Vec<_> = acknowledged.iter().filter(|name| !there.contains(*name)).collect();
        assert!(lost.is_empty(), "round {round}: {lost:?}");
        // All of this round's but the one that each writer may have had under way.
        let this_round = acknowledged.iter().filter(|name| name.starts_with(&format!("dp-{round}-"))).count();
        assert!(this_round + WRITERS >= enough, "{this_round} of {enough} were acknowledged");
        stored = there.len();
    }
}

/// The names that were acknowledged.
async fn write_until_refused(url: String, round: usize, writer: usize) -> Vec<String> {
    const LIMIT: usize = 5_000;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut acknowledged = Vec::new();
    for i in 0..LIMIT {
        let name = format!("dp-{round}-{writer}-{i}");
        let inbound = json!([{"interface": "192.168.0.1:80:80", "tags": {"service": "x"}}]);
        let body =
            json!({"type": "Dataplane", "mesh": "default", "name": name, "networking": {"inbound": inbound}});
        let put = client.put(format!("{url}/meshes/default/dataplanes/{name}")).json(&body).send();
        match put.await {
            Ok(answer) if answer.status() == 201 => acknowledged.push(name),
            Ok(answer) => panic!("{}", answer.status()),
            Err(_) => return acknowledged,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn envoys_serve_while_the_control_plane_is_away_and_come_back_by_themselves() {
    let (mut shop, backend) = Shop::with_two_versions(112).await;
    shop.route(0, 100).await;
    shop.control_plane.kill_9().await.unwrap();
    assert!(answers(backend, 50).await.iter().all(|it| it == "backend-v2"));

    shop.control_plane.start_again().await.unwrap();
    shop.until_online(3).await;
    assert!(answers(backend, 50).await.iter().all(|it| it == "backend-v2"));
    shop.route(100, 0).await;
    assert!(answers(backend, 50).await.iter().all(|it| it == "backend-v1"));

    // Nothing that had not changed was sent again: no listener was replaced.
    let modified = shop.proxies[2].admin("/stats?filter=^listener_manager.listener_modified$").await.unwrap();
    assert!(modified.contains("listener_modified: 0"), "{modified}");
}
