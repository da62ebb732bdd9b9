//! The stream of a proxy that announces nothing but the path of its token: the gRPC library's own client, which reads the
//! file at every stream and needs no other.

use std::net::Ipv6Addr;

use serde_json::{Value, json};

use super::BootstrapParams;

/// Envoy closes a stream that sends more at once. The library's own limit is 4 MiB, which a large mesh exceeds.
const MAX_MESSAGE_BYTES: u32 = 16 * 1024 * 1024;

/// The library checks the certificate against the host of the target by itself.
pub(super) fn service(token_path: &str, params: &BootstrapParams) -> Value {
    json!({
        "googleGrpc": {
            "targetUri": authority(&params.xds_host, params.xds_port),
            "statPrefix": "ads",
            "channelCredentials": { "sslCredentials": { "rootCerts": { "inlineString": params.ca_pem } } },
            "credentialsFactoryName": "envoy.grpc_credentials.file_based_metadata",
            "callCredentials": [{
                "fromPlugin": {
                    "name": "envoy.grpc_credentials.file_based_metadata",
                    "typedConfig": {
                        "@type": "type.googleapis.com/envoy.config.grpc_credential.v3.FileBasedMetadataConfig",
                        "secretData": { "filename": token_path },
                    },
                },
            }],
            "channelArgs": {
                "args": {
                    "grpc.keepalive_time_ms": { "intValue": 60_000 },
                    "grpc.keepalive_timeout_ms": { "intValue": 10_000 },
                    "grpc.http2.max_pings_without_data": { "intValue": 0 },
                    "grpc.max_receive_message_length": { "intValue": MAX_MESSAGE_BYTES },
                },
            },
        },
    })
}

fn authority(host: &str, port: u16) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(host) => format!("[{host}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
}
