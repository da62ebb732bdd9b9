//! The control plane's HTTP interfaces, as far as the benchmark uses them.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, bail};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::topology::{MESH, Topology};

/// Requests under way at a time: enough for the store to commit many together, few enough to need few connections.
const CONCURRENT_REQUESTS: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct HttpApi {
    client: Client,
    api: SocketAddr,
    diagnostics: SocketAddr,
}

/// The counters of `/metrics` that are of interest.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) plans: u64,
    pub(crate) store_reads: u64,
}

impl HttpApi {
    pub(crate) fn new(api: SocketAddr, diagnostics: SocketAddr) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().build().context("the HTTP client does not start")?;
        Ok(Self { client, api, diagnostics })
    }

    /// Creates or replaces a resource of the mesh; `collection` is `dataplanes` or the like. Returns when it was answered.
    pub(crate) async fn put(&self, collection: &str, resource: &Value) -> anyhow::Result<Instant> {
        let name = resource["name"].as_str().context("a resource needs a name")?;
        let url = format!("http://{}/meshes/{MESH}/{collection}/{name}", self.api);
        answered(self.client.put(url).json(resource)).await?;
        Ok(Instant::now())
    }

    /// Deletes a resource of the mesh. Returns when it was answered.
    pub(crate) async fn delete(&self, collection: &str, name: &str) -> anyhow::Result<Instant> {
        let url = format!("http://{}/meshes/{MESH}/{collection}/{name}", self.api);
        answered(self.client.delete(url)).await?;
        Ok(Instant::now())
    }

    /// Registers every dataplane of the topology.
    pub(crate) async fn register(&self, topology: Topology) -> anyhow::Result<()> {
        let puts = (0..topology.proxies)
            .map(|proxy| async move { self.put("dataplanes", &topology.dataplane(proxy)).await.map(drop) });
        stream::iter(puts).buffered(CONCURRENT_REQUESTS).try_collect().await
    }

    /// A token for every dataplane, in their order.
    pub(crate) async fn tokens(&self, topology: Topology) -> anyhow::Result<Vec<String>> {
        let tokens = (0..topology.proxies)
            .map(|proxy| async move { self.token(&Topology::dataplane_name(proxy)).await });
        stream::iter(tokens).buffered(CONCURRENT_REQUESTS).try_collect().await
    }

    pub(crate) async fn counters(&self) -> anyhow::Result<Counters> {
        let url = format!("http://{}/metrics", self.diagnostics);
        let text = answered(self.client.get(url)).await?.text().await.context("/metrics broke off")?;
        let counter =
            |name: &str| counter(&text, name).with_context(|| format!("/metrics has no counter {name}"));
        Ok(Counters { plans: counter("kuma_plans_total")?, store_reads: counter("kuma_store_reads_total")? })
    }

    async fn token(&self, name: &str) -> anyhow::Result<String> {
        let request = self.client.post(format!("http://{}/tokens", self.api));
        let response = answered(request.json(&json!({"mesh": MESH, "name": name}))).await?;
        response.text().await.context("a token broke off")
    }
}

async fn answered(request: RequestBuilder) -> anyhow::Result<Response> {
    let response = request.send().await?;
    if response.status().is_success() {
        return Ok(response);
    }
    let (status, url) = (response.status(), response.url().clone());
    bail!("{url} was answered with {status}: {}", response.text().await.unwrap_or_default())
}

/// The value of a counter without labels in the OpenMetrics text format.
fn counter(metrics: &str, name: &str) -> Option<u64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_read_by_its_whole_name() {
        let text = "# TYPE kuma_plans counter\nkuma_plans_total_other 1\nkuma_plans_total 42\n# EOF\n";
        assert_eq!(counter(text, "kuma_plans_total"), Some(42));
        assert_eq!(counter(text, "kuma_store_reads_total"), None);
    }
}
