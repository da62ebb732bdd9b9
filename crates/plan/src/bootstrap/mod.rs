//! The configuration that an Envoy is started with: how it finds the control plane and proves who it is, where its
//! administrator reaches it, and that everything else comes over ADS.
//!
//! Three forms, by what the request announces:
//!
//! | announced | stream | token | the control plane's CA |
//! | --- | --- | --- | --- |
//! | a work directory | `envoy_grpc` | injected from `token.yaml` in it | `cp_ca.yaml` in it |
//! | only a token's path | `google_grpc` | read from that path | inline |
//! | neither | `envoy_grpc` | none: a control plane that wants one refuses the stream | inline |
//!
//! The first is kuma-dp's: it renames new files over the two, and Envoy reads them for its next stream or connection
//! without a restart. The second needs nothing but what a kuma-dp of Kuma 0.3.0 sends.
//!
//! A token itself is in none of them. Every string of a request becomes a string of the message, never a piece of text
//! in which something else could hide.

use std::{net::IpAddr, time::Duration};

use model::ProxyId;
use serde_json::{Map, Value, json};

mod admin;
mod ads_cluster;
mod google_grpc;
mod protobuf_json;
mod request;

pub use request::{BootstrapError, BootstrapProblem, BootstrapRequest};

use request::{Credentials, Valid};

/// What the control plane knows of itself and its configuration says (`bootstrapServer.params`).
#[derive(Clone, Debug)]
pub struct BootstrapParams {
    /// Where Envoy's administration listens when it has a port.
    pub admin_address: IpAddr,
    /// For requests that name none. 0 is none.
    pub admin_port: u16,
    pub admin_access_log_path: String,
    /// A name or an IP address. Envoy accepts only a certificate for it.
    pub xds_host: String,
    pub xds_port: u16,
    pub xds_connect_timeout: Duration,
    /// The control plane's CA; several certificates while it is rotated.
    pub ca_pem: String,
}

/// `node.cluster` of a Dataplane without an inbound (Kuma 0.3.0).
const NO_SERVICE: &str = "unknown";

const ADS_CLUSTER: &str = "ads_cluster";

/// Envoy's bootstrap, in the JSON form of the protobuf message `envoy.config.bootstrap.v3.Bootstrap`.
///
/// `identifying_service` is [`model::Dataplane::identifying_service`].
pub fn bootstrap(
    request: &BootstrapRequest,
    params: &BootstrapParams,
    identifying_service: Option<&str>,
) -> Result<Value, BootstrapError> {
    let request = request.validate()?;
    let mut bootstrap = json!({
        "node": {
            "id": ProxyId::new(request.mesh, request.name).to_string(),
            "cluster": identifying_service.unwrap_or(NO_SERVICE),
            "metadata": metadata(&request, params),
        },
        "dynamicResources": {
            "adsConfig": ads_config(&request, params),
            "cdsConfig": whole_from_ads(),
            "ldsConfig": whole_from_ads(),
        },
        "staticResources": { "clusters": static_clusters(&request, params) },
    });
    if let Some(admin) = admin::admin(&request, params) {
        bootstrap["admin"] = admin;
    }
    Ok(bootstrap)
}

/// What stands in it is for people and for the control plane; the first two as in Kuma 0.3.x.
fn metadata(request: &Valid<'_>, params: &BootstrapParams) -> Value {
    let admin_port = admin::port(request, params).map(|port| port.to_string());
    let version = request.version.map(|version| version.to_string());
    let known = [
        ("dataplaneTokenPath", request.dataplane_token_path),
        ("dataplane.admin.port", admin_port.as_deref()),
        ("kuma.workDir", request.work_dir),
        ("kuma.accessLogPipe", request.access_log_pipe),
        ("kuma.version", version.as_deref()),
    ];
    let given = known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::from(value?))));
    Value::Object(given.collect::<Map<_, _>>())
}

/// Delta, so that a change costs what changed and a reconnect costs what was missed.
fn ads_config(request: &Valid<'_>, params: &BootstrapParams) -> Value {
    let mut service = match request.credentials() {
        Credentials::TokenPath(path) => google_grpc::service(path, params),
        Credentials::WorkDir(_) | Credentials::None => json!({ "envoyGrpc": { "clusterName": ADS_CLUSTER } }),
    };
    // Envoy waits up to 30 s by default. A shorter limit would have a large fleet come back all at once.
    service["retryPolicy"] = json!({ "retryBackOff": { "baseInterval": "0.500s", "maxInterval": "10s" } });
    json!({
        "apiType": "DELTA_GRPC",
        "transportApiVersion": "V3",
        "setNodeOnFirstMessageOnly": true,
        "grpcServices": [service],
    })
}

/// Without a timeout: an Envoy never starts with half of its configuration.
fn whole_from_ads() -> Value {
    json!({ "ads": {}, "resourceApiVersion": "V3", "initialFetchTimeout": "0s" })
}

fn static_clusters(request: &Valid<'_>, params: &BootstrapParams) -> Vec<Value> {
    match request.credentials() {
        Credentials::TokenPath(_) => Vec::new(),
        Credentials::WorkDir(work_dir) => vec![ads_cluster::with_files(work_dir, params)],
        Credentials::None => vec![ads_cluster::without_credentials(params)],
    }
}
