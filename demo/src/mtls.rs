//! mTLS turned on in a mesh that is in use, and a permission taken away and given back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    claims::Claims,
    shop::{BACKEND_PORT, DENIED, REDIS_PORT, Shop},
    times::print,
    traffic::{self, Load},
};

/// What a step puts into the Mesh, and what it is called.
const STEPS: [(&str, bool, bool); 3] = [
    ("permissive: inbounds take TLS, too", false, true),
    ("enabled: outbounds use it", true, true),
    ("no longer permissive: nothing else is taken", true, false),
];

const PERMISSION: &str = "/meshes/default/traffic-permissions/web-to-redis";

pub(crate) async fn tell(shop: &Shop, claims: &mut Claims) -> anyhow::Result<()> {
    turn_on(shop, claims).await?;
    permissions(shop, claims).await
}

/// With connections all the while.
async fn turn_on(shop: &Shop, claims: &mut Claims) -> anyhow::Result<()> {
    println!("== mTLS, step by step, with connections from web to redis all the while");
    for service in ["backend", "redis"] {
        shop.control_plane.apply(&permission(service)).await?;
    }
    let mut load = Load::start(shop.outbound(REDIS_PORT), "PING\r\n");
    load.more(100).await?;
    for (step, enabled, permissive) in STEPS {
        let mesh = json!({
            "type": "Mesh", "name": "default", "mtls": {"enabled": enabled, "permissive": permissive},
        });
        shop.control_plane.apply(&mesh).await?;
        let everywhere = shop.until_all_synced().await?;
        println!("   {step}: every Envoy has it {} after the answer", print(everywhere));
        load.more(200).await?;
    }
    let (opened, failed) = load.stop().await?;
    println!("   {opened} connections meanwhile, {failed} failed");
    claims.check("turning mTLS on fails no connection", failed == 0);
    let plain = testbed::ask(shop.inbound_of_redis(), "PING\r\n").await;
    let answer = plain.as_deref().unwrap_or("no answer");
    println!("   somebody without a certificate asks redis's Envoy directly: PING -> {answer}");
    claims.check("who has no certificate gets no answer", !plain.is_ok_and(|answer| !answer.is_empty()));
    Ok(())
}

async fn permissions(shop: &Shop, claims: &mut Claims) -> anyhow::Result<()> {
    const IN_A_ROW: usize = 20;
    let redis = shop.outbound(REDIS_PORT);
    shop.control_plane.delete(PERMISSION).await?;
    let refused = until(redis, Answers::No).await?;
    println!("== DELETE the permission of web to call redis: refused {} after the answer", print(refused));
    let mut answered = 0;
    for _ in 0..IN_A_ROW {
        answered += usize::from(answers(redis).await == Answers::Yes);
    }
    claims.check("without the permission nobody answers", answered == 0);
    let others = traffic::split(shop.outbound(BACKEND_PORT), IN_A_ROW).await;
    claims.check("other permissions still hold", others.failed == 0);

    shop.control_plane.apply(&permission("redis")).await?;
    let allowed = until(redis, Answers::Yes).await?;
    println!("   PUT it again: answered {} after the answer", print(allowed));
    let counted = until_counted(shop).await?;
    println!("   redis's kuma-dp says: {DENIED} {counted}");
    claims.check("a refusal is counted, with who was refused", counted > 0);
    Ok(())
}

/// Envoy writes its logs together, about once a second.
async fn until_counted(shop: &Shop) -> anyhow::Result<u64> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let start = Instant::now();
    loop {
        let counted = shop.web_denied_at_redis().await?;
        if counted > 0 || start.elapsed() > PATIENCE {
            return Ok(counted);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    Yes,
    No,
}

async fn answers(redis: std::net::SocketAddr) -> Answers {
    match testbed::ask(redis, "PING\r\n").await {
        Ok(answer) if answer == "+PONG" => Answers::Yes,
        _ => Answers::No,
    }
}

/// From now to the first connection that fares as expected.
async fn until(redis: std::net::SocketAddr, expected: Answers) -> anyhow::Result<std::time::Duration> {
    const LIMIT: usize = 20_000;
    let start = Instant::now();
    for _ in 0..LIMIT {
        let opened = Instant::now();
        if answers(redis).await == expected {
            return Ok(opened - start);
        }
    }
    anyhow::bail!("a change of permissions has no effect after {LIMIT} connections")
}

fn permission(destination: &str) -> Value {
    json!({
        "type": "TrafficPermission", "mesh": "default", "name": format!("web-to-{destination}"),
        "sources": [{"match": {"service": "web"}}],
        "destinations": [{"match": {"service": destination}}],
    })
}
