//! The control plane's HTTP API, as Kuma 0.3.0's clients know it.
//!
//! In flow requests; out flow transactions for the store, and answers read from [`store::Present`], the value in memory
//! that already contains every write that this process has acknowledged. The routes follow from the table of kinds
//! ([`model::Kind`]): a new kind has its collection, its items and its errors without a line here.
//!
//! One request passes, in this order: the `Host` it asks for ([`HostPolicy`]), its path (`path`), its method, its origin,
//! its content type, its body (`read`), and then what it wants (`write`, `transaction`, `retrieve`, `list`, `watch`,
//! `inspection`, `index`, `tokens`, `token_changes`, `mesh_cas`, `bootstrap`).
//! Whatever refuses it is a `Refusal` (`respond`), so that every error has one shape and no internal message can leave.
//! `request` is that order, in code.
//!
//! The crate chooses HTTP statuses and nothing else: what a resource means is `model`'s, what it does is `plan`'s, and
//! whether it is kept is the store's. It reads no configuration and no environment.

mod audit;
mod bootstrap;
mod conditions;
mod connections;
mod cors;
#[doc(hidden)]
pub mod fuzzing;
mod hosts;
mod idle;
mod index;
mod inspection;
mod limits;
mod list;
mod mesh_cas;
mod min_revision;
mod negotiate;
mod openapi;
mod overview;
mod path;
mod query;
mod read;
mod request;
mod respond;
mod retrieve;
mod serve;
mod token_changes;
mod tokens;
mod transaction;
mod validity;
mod warnings;
mod watch;
mod write;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

pub use cors::{BadPattern, CorsPolicy};
pub use hosts::HostPolicy;
pub use inspection::{
    Acknowledged, Detail, Inspect, InspectedCertificate, InspectedResource, InspectedStream, Inspection,
    Protocol, ResourceState, Source,
};
pub use limits::Limits;
pub use mesh_cas::{Answering, Guard, MeshCaError, MeshCaInfo, MeshCaProxies, MeshCas};
pub use serve::{Peer, serve};
pub use token_changes::NewTokenKey;

/// Everything that the routes need.
pub struct Api {
    pub store: Arc<dyn store::Store>,
    /// Sign what `POST /tokens` gives out.
    pub token_keys: Arc<dyn TokenKeys>,
    /// The control plane's CA certificate, for `GET /ca.pem`.
    pub ca_pem: String,
    /// The effective configuration for `GET /config`, with its secrets already masked.
    pub config: serde_json::Value,
    /// For `GET /`.
    pub version: &'static str,
    pub bootstrap: plan::bootstrap::BootstrapParams,
    pub hosts: HostPolicy,
    pub cors: CorsPolicy,
    /// Why resources cannot be written here, as a sentence for the user; `None` when they can.
    pub read_only: Option<String>,
    /// `dataplaneTokenServer.enabled`.
    pub tokens_enabled: bool,
    pub limits: Limits,
    pub now: fn() -> SystemTime,
    pub metrics: Arc<dyn RequestObserver>,
    /// For `GET /meshes/{mesh}/dataplanes/{name}/xds`.
    pub inspector: Arc<dyn Inspect>,
    /// For `/meshes/{mesh}/certificate-authorities`.
    pub mesh_cas: Arc<dyn MeshCas>,
}

/// The keys that sign tokens, and what they accept.
pub trait TokenKeys: Send + Sync + 'static {
    /// As of the latest change that the store has acknowledged here.
    fn keyring(&self) -> Arc<identity::Keyring>;

    /// A new key, which counts once the store has it ([`store::TokenChange::PutKey`]).
    fn generate(&self) -> Result<NewTokenKey, identity::SigningKeyError>;
}

/// Hears of every request that was answered.
pub trait RequestObserver: Send + Sync + 'static {
    /// `route` is a pattern such as `/meshes/{mesh}/{collection}`, and `method` one of HTTP's own or `other`, so that what
    /// a client makes up adds no label. `elapsed` ends when the answer is ready to be sent.
    fn observe(&self, route: &'static str, method: &'static str, status: u16, elapsed: Duration);
}

/// The HTTP API, to be [served](serve()).
pub fn router(api: Api) -> axum::Router {
    request::router(api)
}
