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
    let service = match request.credentials() {
        Credentials::TokenPath(path) => google_grpc::service(path, params),
        Credentials::WorkDir(_) | Credentials::None => envoy_grpc(),
    };
    json!({
        "apiType": "DELTA_GRPC",
        "transportApiVersion": "V3",
        "setNodeOnFirstMessageOnly": true,
        "grpcServices": [service],
    })
}

/// Envoy waits up to 30 s between two tries by default; a shorter limit than this would have a large fleet come back all at
/// once. Envoy 1.40 heeds the policy inside of `envoy_grpc` alone: beside it, and with google_grpc, it keeps its default.
fn envoy_grpc() -> Value {
    let back_off = json!({ "retryBackOff": { "baseInterval": "0.500s", "maxInterval": "10s" } });
    json!({ "envoyGrpc": { "clusterName": ADS_CLUSTER, "retryPolicy": back_off } })
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

#[cfg(test)]
mod tests {
    use crate::envoy::json;

    use super::*;

    const TYPE_URL: &str = "type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap";

    fn params(xds_host: &str) -> BootstrapParams {
        BootstrapParams {
            admin_address: [127, 0, 0, 1].into(),
            admin_port: 0,
            admin_access_log_path: "/dev/null".to_owned(),
            xds_host: xds_host.to_owned(),
            xds_port: 5678,
            xds_connect_timeout: Duration::from_secs(1),
            ca_pem: "-----BEGIN CERTIFICATE-----".to_owned(),
        }
    }

    fn request(json: Value) -> BootstrapRequest {
        serde_json::from_value(json).expect("a request")
    }

    /// The bootstrap, after it has been read as strictly as Envoy reads it.
    fn answer(json: Value, params: &BootstrapParams) -> Value {
        let bootstrap = bootstrap(&request(json), params, Some("web")).expect("a bootstrap");
        json::parse(TYPE_URL, &bootstrap).expect("a Bootstrap");
        bootstrap
    }

    fn from_kuma_dp() -> Value {
        json!({
            "mesh": "default", "name": "web-1", "version": 1, "envoyVersion": "1.40.0",
            "dataplaneTokenPath": "/etc/token", "workDir": "/run/kuma-dp/", "accessLogPipe": "/run/kuma-dp/access.fifo",
            "adminSocket": "/run/kuma-dp/admin.sock",
        })
    }

    fn ads_cluster(bootstrap: &Value) -> &Value {
        &bootstrap["staticResources"]["clusters"][0]
    }

    fn tls(bootstrap: &Value) -> &Value {
        &ads_cluster(bootstrap)["transportSocket"]["typedConfig"]
    }

    #[test]
    fn a_proxy_is_known_by_its_mesh_and_name_and_by_its_service() {
        let request = request(json!({ "mesh": "default", "name": "web-1" }));
        for (service, cluster) in [(Some("web"), "web"), (None, "unknown")] {
            let bootstrap = bootstrap(&request, &params("localhost"), service).unwrap();
            assert_eq!(bootstrap["node"]["id"], "default.web-1");
            assert_eq!(bootstrap["node"]["cluster"], cluster);
        }
    }

    #[test]
    fn with_a_work_directory_token_and_ca_are_files_that_envoy_watches() {
        let bootstrap = answer(from_kuma_dp(), &params("localhost"));
        let options = &ads_cluster(&bootstrap)["typedExtensionProtocolOptions"];
        let filters = &options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]["httpFilters"];
        let file = |path: &str| json!({ "path": path, "watchedDirectory": { "path": "/run/kuma-dp/" } });
        assert_eq!(
            filters[0]["typedConfig"]["credential"]["typedConfig"]["credential"]["sdsConfig"]["pathConfigSource"],
            file("/run/kuma-dp/token.yaml")
        );
        let validation = &tls(&bootstrap)["commonTlsContext"]["combinedValidationContext"];
        assert_eq!(
            validation["validationContextSdsSecretConfig"]["sdsConfig"]["pathConfigSource"],
            file("/run/kuma-dp/cp_ca.yaml")
        );
        assert_eq!(
            bootstrap["node"]["metadata"],
            json!({
                "dataplaneTokenPath": "/etc/token",
                "kuma.workDir": "/run/kuma-dp/",
                "kuma.accessLogPipe": "/run/kuma-dp/access.fifo",
                "kuma.version": "1",
            })
        );
    }

    #[test]
    fn with_a_token_path_alone_the_grpc_library_reads_it() {
        let request =
            json!({ "mesh": "default", "name": "web-1", "dataplaneTokenPath": "/etc/token", "future": {} });
        let bootstrap = answer(request, &params("::1"));
        let service = &bootstrap["dynamicResources"]["adsConfig"]["grpcServices"][0]["googleGrpc"];
        assert_eq!(service["targetUri"], "[::1]:5678");
        assert_eq!(
            service["callCredentials"][0]["fromPlugin"]["typedConfig"]["secretData"]["filename"],
            "/etc/token"
        );
        assert_eq!(bootstrap["staticResources"]["clusters"], json!([]));
    }

    #[test]
    fn with_neither_the_stream_carries_no_token() {
        let bootstrap = answer(json!({ "mesh": "default", "name": "web-1" }), &params("localhost"));
        let options = &ads_cluster(&bootstrap)["typedExtensionProtocolOptions"];
        assert_eq!(
            options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].get("httpFilters"),
            None
        );
        let trusted = &tls(&bootstrap)["commonTlsContext"]["validationContext"]["trustedCa"];
        assert_eq!(trusted["inlineString"], "-----BEGIN CERTIFICATE-----");
    }

    #[test]
    fn one_host_is_dialled_and_its_certificate_alone_accepted() {
        for (host, cluster_type, sni, san_type) in [
            ("cp.example.org", "STRICT_DNS", Some("cp.example.org"), "DNS"),
            ("127.0.0.1", "STATIC", None, "IP_ADDRESS"),
            ("::1", "STATIC", None, "IP_ADDRESS"),
        ] {
            let bootstrap = answer(from_kuma_dp(), &params(host));
            assert_eq!(ads_cluster(&bootstrap)["type"], cluster_type, "{host}");
            assert_eq!(tls(&bootstrap).get("sni").and_then(Value::as_str), sni, "{host}");
            let validation = &tls(&bootstrap)["commonTlsContext"]["combinedValidationContext"];
            assert_eq!(
                validation["defaultValidationContext"]["matchTypedSubjectAltNames"],
                json!([{ "sanType": san_type, "matcher": { "exact": host } }])
            );
        }
    }

    #[test]
    fn the_administration_listens_on_a_port_else_on_the_socket_else_nowhere() {
        let port = |port: u16| json!({ "socketAddress": { "address": "127.0.0.1", "portValue": port } });
        let socket = || json!({ "pipe": { "path": "/run/admin.sock", "mode": 0o600 } });
        for (asked, configured, announced, expected) in [
            (9901, 30001, "/run/admin.sock", Some(port(9901))),
            (0, 30001, "/run/admin.sock", Some(port(30001))),
            (0, 0, "/run/admin.sock", Some(socket())),
            (0, 0, "", None),
        ] {
            let request =
                json!({ "mesh": "default", "name": "web-1", "adminPort": asked, "adminSocket": announced });
            let bootstrap =
                answer(request, &BootstrapParams { admin_port: configured, ..params("localhost") });
            assert_eq!(bootstrap.get("admin").map(|admin| admin["address"].clone()), expected);
            let announced_port = bootstrap["node"]["metadata"]["dataplane.admin.port"].as_str();
            assert_eq!(announced_port.is_some(), asked + configured > 0);
        }
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_its_field() {
        for (field, value, expected) in [
            ("mesh", json!(""), "mesh must not be empty"),
            ("name", json!(null), "name must not be empty"),
            ("adminPort", json!(65536), "adminPort must be a port, from 1 to 65535, or 0 for none"),
            ("dataplaneTokenPath", json!("token"), "dataplaneTokenPath must be an absolute path"),
            ("workDir", json!("./x"), "workDir must be an absolute path"),
            ("accessLogPipe", json!("/a\nb"), "accessLogPipe must not contain control characters"),
            ("adminSocket", json!("/a\u{0}"), "adminSocket must not contain control characters"),
        ] {
            let mut json = from_kuma_dp();
            json[field] = value;
            let error = bootstrap(&request(json), &params("localhost"), None).unwrap_err();
            assert_eq!((error.field, error.to_string().as_str()), (field, expected));
        }
    }
}
