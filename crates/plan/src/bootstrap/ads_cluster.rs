//! The cluster through which Envoy's own gRPC client reaches the control plane: HTTP/2 over TLS, the control plane's CA
//! pinned, and one name accepted.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{ADS_CLUSTER, BootstrapParams, protobuf_json};

const TYPE: &str = "@type";

/// The token and the CA are read from files that kuma-dp keeps, and read again when it renames new ones over them.
pub(super) fn with_files(work_dir: &str, params: &BootstrapParams) -> Value {
    let injector = json!({
        "name": "envoy.filters.http.credential_injector",
        "typedConfig": {
            TYPE: "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
            "allowRequestWithoutCredential": false,
            "credential": {
                "name": "envoy.http.injected_credentials.generic",
                "typedConfig": {
                    TYPE: "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
                    "credential": file_secret("dataplane_token", work_dir, "token.yaml"),
                    // The value is the token alone, without a scheme, as Kuma 0.3.0 has it.
                    "header": "authorization",
                },
            },
        },
    });
    let codec = json!({
        "name": "envoy.filters.http.upstream_codec",
        "typedConfig": { TYPE: "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec" },
    });
    let validation = json!({
        "combinedValidationContext": {
            "defaultValidationContext": { "matchTypedSubjectAltNames": [subject_alt_name(&params.xds_host)] },
            "validationContextSdsSecretConfig": file_secret("cp_ca", work_dir, "cp_ca.yaml"),
        },
    });
    cluster(params, vec![injector, codec], validation)
}

pub(super) fn without_credentials(params: &BootstrapParams) -> Value {
    let validation = json!({
        "validationContext": {
            "trustedCa": { "inlineString": params.ca_pem },
            "matchTypedSubjectAltNames": [subject_alt_name(&params.xds_host)],
        },
    });
    cluster(params, Vec::new(), validation)
}

fn cluster(params: &BootstrapParams, http_filters: Vec<Value>, validation: Value) -> Value {
    let mut cluster = json!({
        "name": ADS_CLUSTER,
        "connectTimeout": protobuf_json::duration(params.xds_connect_timeout),
        "upstreamConnectionOptions": {
            "tcpKeepalive": { "keepaliveProbes": 3, "keepaliveTime": 10, "keepaliveInterval": 10 },
        },
        "typedExtensionProtocolOptions": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http_protocol_options(http_filters),
        },
        "transportSocket": {
            "name": "envoy.transport_sockets.tls",
            "typedConfig": tls(&params.xds_host, validation),
        },
        "loadAssignment": {
            "clusterName": ADS_CLUSTER,
            "endpoints": [{
                "lbEndpoints": [{
                    "endpoint": { "address": protobuf_json::tcp_address(&params.xds_host, params.xds_port) },
                }],
            }],
        },
    });
    if is_ip(&params.xds_host) {
        cluster["type"] = "STATIC".into();
    } else {
        cluster["type"] = "STRICT_DNS".into();
        // Envoy's own choice would take [::1] for localhost, and never reach what listens on IPv4 alone.
        cluster["dnsLookupFamily"] = "V4_PREFERRED".into();
    }
    cluster
}

fn http_protocol_options(http_filters: Vec<Value>) -> Value {
    // Finds a control plane that is gone without a word. More often costs a large fleet's control plane more than it is
    // worth: 10,000 proxies that ping every 30 s take 3 % of a core.
    let keepalive = json!({ "interval": "60s", "timeout": "10s" });
    let mut options = json!({
        TYPE: "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicitHttpConfig": { "http2ProtocolOptions": { "connectionKeepalive": keepalive } },
    });
    if !http_filters.is_empty() {
        options["httpFilters"] = http_filters.into();
    }
    options
}

fn tls(host: &str, validation: Value) -> Value {
    let mut common = validation;
    common["tlsParams"] = json!({ "tlsMinimumProtocolVersion": "TLSv1_2" });
    common["alpnProtocols"] = json!(["h2"]);
    let mut context = json!({
        TYPE: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "commonTlsContext": common,
    });
    // A server name is a name: RFC 6066 (section 3) allows no IP address.
    if !is_ip(host) {
        context["sni"] = host.into();
    }
    context
}

fn subject_alt_name(host: &str) -> Value {
    let san_type = if is_ip(host) { "IP_ADDRESS" } else { "DNS" };
    json!({ "sanType": san_type, "matcher": { "exact": host } })
}

fn file_secret(name: &str, folder: &str, file: &str) -> Value {
    let path = format!("{}/{file}", folder.trim_end_matches('/'));
    json!({
        "name": name,
        "sdsConfig": {
            "resourceApiVersion": "V3",
            "pathConfigSource": { "path": path, "watchedDirectory": { "path": folder } },
        },
    })
}

fn is_ip(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}
