//! Envoy's administration interface: on a port if there is one, else on the socket that kuma-dp named, else nowhere.

use std::num::NonZeroU16;

use serde_json::{Value, json};

use super::{BootstrapParams, protobuf_json, request::Valid};

/// Only the user that Envoy runs as may open the socket: whoever can may end Envoy.
const SOCKET_MODE: u32 = 0o600;

pub(super) fn admin(request: &Valid<'_>, params: &BootstrapParams) -> Option<Value> {
    let address = match (port(request, params), request.admin_socket) {
        (Some(port), _) => protobuf_json::tcp_address(&params.admin_address.to_string(), port.get()),
        (None, Some(path)) => json!({ "pipe": { "path": path, "mode": SOCKET_MODE } }),
        (None, None) => return None,
    };
    let access_log = json!({
        "name": "envoy.access_loggers.file",
        "typedConfig": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": params.admin_access_log_path,
        },
    });
    Some(json!({ "address": address, "accessLog": [access_log] }))
}

pub(super) fn port(request: &Valid<'_>, params: &BootstrapParams) -> Option<NonZeroU16> {
    request.admin_port.or(NonZeroU16::new(params.admin_port))
}
