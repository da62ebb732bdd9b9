//! What happens, in order, and what is claimed about it.

use std::time::Instant;

use serde_json::{Value, json};
use testbed::Settled;

use crate::{
    claims::{Claims, within_six_sigma},
    logs, mtls,
    shop::{BACKEND_PORT, DATAPLANES, REDIS_PORT, Shop},
    times::print,
    traffic::{self, Load},
};

const CONNECTIONS: usize = 2_000;
const ROUTE: &str = "/meshes/default/traffic-routes/web-to-backend";

pub(crate) async fn tell(shop: &mut Shop, claims: &mut Claims) -> anyhow::Result<()> {
    ask_redis(shop, claims).await;
    split_by_default(shop, claims).await;
    split_90_10(shop, claims).await?;
    move_all_to_v2(shop, claims).await?;
    kill_the_control_plane(shop, claims).await?;
    mtls::tell(shop, claims).await?;
    logs::tell(shop, claims).await?;
    print_overview(shop, claims).await
}

async fn ask_redis(shop: &Shop, claims: &mut Claims) {
    let answer = testbed::ask(shop.outbound(REDIS_PORT), "PING\r\n").await;
    println!("== web asks redis: PING -> {}", answer.as_deref().unwrap_or("no answer"));
    claims.check("redis answers through two Envoys", answer.is_ok_and(|answer| answer == "+PONG"));
}

async fn split_by_default(shop: &Shop, claims: &mut Claims) {
    let split = traffic::split(shop.outbound(BACKEND_PORT), CONNECTIONS).await;
    println!("== {CONNECTIONS} new connections from web to backend, no route: {split}");
    claims.check("without a route no connection fails", split.failed == 0);
    claims
        .check("without a route v1 has two thirds", within_six_sigma(split.of("v1"), CONNECTIONS, 2.0 / 3.0));
}

async fn split_90_10(shop: &Shop, claims: &mut Claims) -> anyhow::Result<()> {
    let pushed = put_route(shop, 90, 10).await?;
    println!(
        "== PUT a TrafficRoute: v1 90, v2 10; the last ACK came {} after the answer",
        print(pushed.last_ack)
    );
    let split = traffic::split(shop.outbound(BACKEND_PORT), CONNECTIONS).await;
    println!("   {CONNECTIONS} new connections: {split}");
    claims.check("with 90/10 no connection fails", split.failed == 0);
    claims.check("with 90/10 v2 has a tenth", within_six_sigma(split.of("v2"), CONNECTIONS, 0.1));
    Ok(())
}

async fn move_all_to_v2(shop: &Shop, claims: &mut Claims) -> anyhow::Result<()> {
    const IN_A_ROW: usize = 500;
    let backend = shop.outbound(BACKEND_PORT);
    // Connections all the while, or the first that only v2 answers would be the first there is.
    let only_v2 = tokio::spawn(traffic::first_of_only(backend, "v2", IN_A_ROW));
    let pushed = put_route(shop, 0, 100).await?;
    let effect = only_v2.await??.saturating_duration_since(pushed.answered);
    println!("== PUT 0/100; from its answer to the last Envoy's ACK: {}", print(pushed.last_ack));
    println!(
        "   to the first connection after which only v2 answers ({IN_A_ROW} in a row): {}",
        print(effect)
    );
    let split = traffic::split(backend, CONNECTIONS).await;
    println!("   {CONNECTIONS} new connections: {split}");
    claims.check("with 0/100 every connection goes to v2", split.of("v2") == CONNECTIONS);
    Ok(())
}

/// In the middle of traffic.
async fn kill_the_control_plane(shop: &mut Shop, claims: &mut Claims) -> anyhow::Result<()> {
    let before = everything(shop).await?;
    let mut load = Load::start(shop.outbound(BACKEND_PORT), "");
    load.more(200).await?;
    println!("== kill -9 kuma-cp in the middle of traffic");
    shop.control_plane.kill_9().await?;
    load.more(500).await?;
    println!("   500 more connections without a control plane; starting it again");
    let started = Instant::now();
    shop.control_plane.start_again().await?;
    println!("   ready again after {}", print(started.elapsed()));
    let back = shop.until_all_online().await?;
    println!("   all {DATAPLANES} Envoys were back by themselves {} after that", print(back));
    load.more(200).await?;
    let (opened, failed) = load.stop().await?;
    println!("   {opened} connections meanwhile, {failed} failed");
    let after = everything(shop).await?;
    println!("   what was applied is {}", if before == after { "all there" } else { "NOT all there" });
    let split = traffic::split(shop.outbound(BACKEND_PORT), CONNECTIONS / 10).await;
    claims.check("no connection failed while the control plane was away", failed == 0);
    claims.check("nothing that was acknowledged is lost", before == after);
    claims.check("the route still holds", split.of("v2") == CONNECTIONS / 10);

    let pushed = put_route(shop, 50, 50).await?;
    let split = traffic::split(shop.outbound(BACKEND_PORT), CONNECTIONS).await;
    println!(
        "   PUT 50/50: last ACK after {}; {CONNECTIONS} new connections: {split}",
        print(pushed.last_ack)
    );
    claims.check("after the restart routes take effect", within_six_sigma(split.of("v1"), CONNECTIONS, 0.5));
    Ok(())
}

async fn print_overview(shop: &Shop, claims: &mut Claims) -> anyhow::Result<()> {
    let table = shop.inspect(shop.control_plane.work_dir()).await?;
    println!("== kumactl inspect dataplanes");
    for line in table.lines() {
        println!("   {line}");
    }
    let online = table.lines().filter(|line| line.split_whitespace().any(|word| word == "Online")).count();
    claims.check("the overview shows every Dataplane online", online == DATAPLANES);
    Ok(())
}

/// PUTs the route, and waits until the only Envoy that it concerns, web's, has acknowledged all of it.
async fn put_route(shop: &Shop, v1: u32, v2: u32) -> anyhow::Result<Settled> {
    let share = |weight: u32, version: &str| json!({"weight": weight, "destination": {"service": "backend", "version": version}});
    let route = json!({
        "type": "TrafficRoute", "mesh": "default", "name": "web-to-backend",
        "sources": [{"match": {"service": "web"}}],
        "destinations": [{"match": {"service": "backend"}}],
        "conf": [share(v1, "v1"), share(v2, "v2")],
    });
    shop.control_plane.apply_until_settled(&route).await
}

/// What users have applied, as the API answers it.
async fn everything(shop: &Shop) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for path in ["/meshes", "/meshes/default/dataplanes", ROUTE] {
        all.push(shop.control_plane.get(path).await?);
    }
    Ok(all)
}
