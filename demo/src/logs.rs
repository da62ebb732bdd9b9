//! Connections that are logged, and a proxy that does something in Envoy's own words.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    claims::Claims,
    shop::{REDIS_PORT, Shop},
    traffic,
};

const CONNECTIONS: usize = 100;
/// An address of web's that nothing of the shop uses.
const EXTRA_PORT: u16 = 10_003;

pub(crate) async fn tell(shop: &Shop, claims: &mut Claims) -> anyhow::Result<()> {
    log_connections(shop, claims).await?;
    template(shop, claims).await
}

async fn log_connections(shop: &Shop, claims: &mut Claims) -> anyhow::Result<()> {
    let file = shop.control_plane.work_dir().with_file_name("access.log");
    shop.control_plane.apply(&mesh_logging_to(&file.to_string_lossy())).await?;
    shop.control_plane.apply(&traffic_log()).await?;
    shop.until_all_synced().await?;
    for _ in 0..CONNECTIONS {
        testbed::ask(shop.outbound(REDIS_PORT), "PING\r\n").await?;
    }
    let lines = until_lines(&file, CONNECTIONS).await;
    println!("== PUT a TrafficLog: {CONNECTIONS} connections, {} lines in a file, like", lines.len());
    println!("   {}", lines.last().map_or("", String::as_str));
    let counted = |line: &&String| line.ends_with("sent 7 bytes, received: 6 bytes");
    claims.check("every connection is one line", lines.len() == CONNECTIONS);
    claims.check("a line has the bytes of each way", lines.iter().filter(counted).count() == lines.len());
    shop.control_plane.delete("/meshes/default/traffic-logs/everything").await
}

async fn template(shop: &Shop, claims: &mut Claims) -> anyhow::Result<()> {
    let address = shop.outbound(EXTRA_PORT);
    let typo = shop.control_plane.apply(&template_with(&listener(&address.ip().to_string(), 70_000))).await;
    let refused = typo.err().map(|error| error.to_string()).unwrap_or_default();
    claims.check("what Envoy could not take is refused with its place", refused.contains("port_value"));
    shop.control_plane.apply(&template_with(&listener(&address.ip().to_string(), EXTRA_PORT.into()))).await?;
    shop.until_all_synced().await?;
    let split = traffic::split(address, CONNECTIONS).await;
    println!(
        "== PUT a ProxyTemplate, a listener in the API of Envoy 1.12, upgraded: {CONNECTIONS} connections: {split}"
    );
    claims.check("a template's listener serves", split.failed == 0);
    shop.control_plane.delete("/meshes/default/proxytemplates/extra").await
}

/// Envoy writes its logs together, twice a second.
async fn until_lines(file: &std::path::Path, count: usize) -> Vec<String> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let start = Instant::now();
    loop {
        let lines: Vec<String> =
            std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect();
        if lines.len() >= count || start.elapsed() > PATIENCE {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn mesh_logging_to(file: &str) -> Value {
    json!({
        "type": "Mesh", "name": "default", "mtls": {"enabled": true},
        "logging": {"defaultBackend": "file", "backends": [{"name": "file", "file": {"path": file}}]},
    })
}

fn traffic_log() -> Value {
    json!({
        "type": "TrafficLog", "mesh": "default", "name": "everything",
        "sources": [{"match": {"service": "web"}}],
        "destinations": [{"match": {"service": "redis"}}],
    })
}

fn template_with(resource: &str) -> Value {
    json!({
        "type": "ProxyTemplate", "mesh": "default", "name": "extra",
        "selectors": [{"match": {"service": "web"}}],
        "conf": {
            "imports": ["default-proxy"],
            "resources": [{"name": "extra", "version": "v1", "resource": resource}],
        },
    })
}

/// To the cluster of web's own outbound.
fn listener(ip: &str, port: u32) -> String {
    format!(
        "'@type': type.googleapis.com/envoy.api.v2.Listener
name: extra
address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }}
filter_chains:
  filters:
    name: envoy.tcp_proxy
    config: {{ stat_prefix: extra, cluster: 'backend{{version=v1}}' }}
"
    )
}
