//! The examples of Kuma 0.3.0's documentation of its HTTP API: what was written is what reads back.

use model::{Key, Kind, print_entity};
use serde_json::{Value, json};

/// Each with the mesh and the name of the URL that it is written to.
pub(crate) fn documented() -> [(Kind, &'static str, &'static str, Value); 6] {
    [
        (Kind::Mesh, "mesh-1", "mesh-1", mesh()),
        (Kind::Dataplane, "mesh-1", "backend-1", dataplane()),
        (Kind::ProxyTemplate, "mesh-1", "pt-1", proxy_template()),
        (Kind::TrafficPermission, "mesh-1", "tp-1", traffic_permission()),
        (Kind::TrafficLog, "mesh-1", "tl-1", traffic_log()),
        (Kind::TrafficRoute, "mesh-1", "web-to-backend", traffic_route()),
    ]
}

fn mesh() -> Value {
    json!({
        "name": "mesh-1",
        "type": "Mesh",
        "mtls": {"ca": {"builtin": {}}, "enabled": true},
        "tracing": {},
        "logging": {
            "backends": [
                {
                    "name": "file-tmp",
                    "format": "{ \"destination\": \"%KUMA_DESTINATION_SERVICE%\", \"destinationAddress\": \
                               \"%UPSTREAM_LOCAL_ADDRESS%\", \"source\": \"%KUMA_SOURCE_SERVICE%\", \"sourceAddress\": \
                               \"%KUMA_SOURCE_ADDRESS%\", \"bytesReceived\": \"%BYTES_RECEIVED%\", \"bytesSent\": \
                               \"%BYTES_SENT%\"}",
                    "file": {"path": "/tmp/access.log"},
                },
                {"name": "logstash", "tcp": {"address": "logstash.internal:9000"}},
            ],
        },
    })
}

fn dataplane() -> Value {
    json!({
        "type": "Dataplane",
        "name": "backend-1",
        "mesh": "mesh-1",
        "networking": {
            "inbound": [{
                "interface": "127.0.0.1:11011:11012",
                "tags": {"service": "backend", "version": "2.0", "env": "production"},
            }],
            "outbound": [
                {"interface": ":33033", "service": "database"},
                {"interface": ":44044", "service": "user"},
            ],
        },
    })
}

fn proxy_template() -> Value {
    let cluster = "'@type': type.googleapis.com/envoy.api.v2.Cluster\nconnectTimeout: 5s\nloadAssignment:\n  clusterName: \
                   localhost:8443\n  endpoints:\n    - lbEndpoints:\n        - endpoint:\n            address:\n              \
                   socketAddress:\n                address: 127.0.0.1\n                portValue: 8443\nname: \
                   localhost:8443\ntype: STATIC\n";
    json!({
        "type": "ProxyTemplate",
        "name": "pt-1",
        "mesh": "mesh-1",
        "selectors": [{"match": {"service": "backend"}}],
        "conf": {
            "imports": ["default-proxy"],
            "resources": [{"name": "raw-name", "version": "raw-version", "resource": cluster}],
        },
    })
}

fn traffic_permission() -> Value {
    json!({
        "type": "TrafficPermission",
        "name": "tp-1",
        "mesh": "mesh-1",
        "sources": [{"match": {"service": "backend"}}],
        "destinations": [{"match": {"service": "redis"}}],
    })
}

fn traffic_log() -> Value {
    json!({
        "type": "TrafficLog",
        "mesh": "mesh-1",
        "name": "tl-1",
        "sources": [{"match": {"service": "web", "version": "1.0"}}],
        "destinations": [{"match": {"service": "backend"}}],
        "conf": {"backend": "file"},
    })
}

fn traffic_route() -> Value {
    json!({
        "type": "TrafficRoute",
        "name": "web-to-backend",
        "mesh": "mesh-1",
        "sources": [{"match": {"region": "us-east-1", "service": "web", "version": "v10"}}],
        "destinations": [{"match": {"service": "backend"}}],
        "conf": [
            {"weight": 90, "destination": {"region": "us-east-1", "service": "backend", "version": "v2"}},
            {"weight": 10, "destination": {"service": "backend", "version": "v3"}},
        ],
    })
}

#[test]
fn what_the_documentation_writes_is_accepted_and_reads_back() {
    for (kind, mesh, name, written) in documented() {
        let mut document = kind.read_document(&written).unwrap();
        assert_eq!(document.envelope.check(kind, mesh, name).to_string(), "");
        document.spec.set_defaults();
        assert_eq!(document.spec.validate().to_string(), "");

        let answered = print_entity(&Key::new(kind, mesh, name), &document.spec).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&answered).unwrap(), written);
    }
}
