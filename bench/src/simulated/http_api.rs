//! The control plane's HTTP interfaces, as far as a fleet needs them.

use std::time::Instant;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use testbed::ControlPlane;

use super::topology::{MESH, Topology};

/// Requests under way at a time: enough for the store to commit many together, few enough to need few connections.
const CONCURRENT_REQUESTS: usize = 64;

/// The permission without which, with mTLS, nobody may call anybody.
const EVERYBODY: &str = "everybody";

/// Requests to a control plane, many of them at a time.
#[derive(Debug, Clone, Copy)]
pub struct HttpApi<'a>(pub &'a ControlPlane);

/// The counters of `/metrics` that are of interest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    pub plans: u64,
    pub store_reads: u64,
    /// For proxies, so that others of the mesh know them.
    pub certificates_signed: u64,
}

impl HttpApi<'_> {
    /// Creates or replaces a resource. Returns when it was answered.
    pub async fn put(&self, resource: &Value) -> anyhow::Result<Instant> {
        self.0.apply(resource).await?;
        Ok(Instant::now())
    }

    /// Deletes a resource of the mesh; `collection` is `dataplanes` or the like. Returns when it was answered.
    pub async fn delete(&self, collection: &str, name: &str) -> anyhow::Result<Instant> {
        self.0.delete(&format!("/meshes/{MESH}/{collection}/{name}")).await?;
        Ok(Instant::now())
    }

    /// Registers every dataplane of the topology.
    pub async fn register(&self, topology: Topology) -> anyhow::Result<()> {
        let puts = (0..topology.proxies)
            .map(|proxy| async move { self.put(&topology.dataplane(proxy)).await.map(drop) });
        stream::iter(puts).buffered(CONCURRENT_REQUESTS).try_collect().await
    }

    /// Makes every proxy of the mesh prove who it is to every other, and lets everybody call everybody.
    pub async fn demand_mtls(&self) -> anyhow::Result<()> {
        self.put(&Topology::permission(EVERYBODY, "*", "*")).await?;
        self.put(&Topology::mesh_with_mtls()).await.map(drop)
    }

    /// A token for every dataplane, in their order.
    pub async fn tokens(&self, topology: Topology) -> anyhow::Result<Vec<String>> {
        let tokens = (0..topology.proxies)
            .map(|proxy| async move { self.0.token(MESH, &Topology::dataplane_name(proxy)).await });
        stream::iter(tokens).buffered(CONCURRENT_REQUESTS).try_collect().await
    }

    pub async fn counters(&self) -> anyhow::Result<Counters> {
        Ok(Counters {
            plans: self.0.count("kuma_plans_total").await?,
            store_reads: self.0.count("kuma_store_reads_total").await?,
            certificates_signed: self.0.count("kuma_certificates_signed_total").await?,
        })
    }
}
