//! What a client asks before it knows anything: who is there, where the other APIs are, how it is configured.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, uri::Authority};
use serde_json::json;

use crate::{
    Api,
    respond::{Answer, with_body},
};

/// `kumactl` recognises a control plane by the tagline (Kuma 0.3.0).
pub(crate) fn index(api: &Api) -> Bytes {
    json!({"tagline": "Kuma", "version": api.version}).to_string().into()
}

/// The other APIs are where this one is, so each URL is the one under which the catalogue was asked. A URL that there is
/// not is empty (Kuma 0.3.0): nothing is public without HTTPS.
pub(crate) fn catalogue(api: &Api, asked: &Authority) -> Bytes {
    let here = format!("http://{asked}");
    let local_url = if api.tokens_enabled { here.as_str() } else { "" };
    let apis = json!({
        "bootstrap": {"url": here},
        "dataplaneToken": {"localUrl": local_url, "publicUrl": ""},
    });
    json!({"apis": apis}).to_string().into()
}

pub(crate) fn config(api: &Api) -> Bytes {
    api.config.to_string().into()
}

/// PEM (RFC 8555 registers its media type).
pub(crate) fn ca(api: &Api) -> Answer {
    let pem = HeaderValue::from_static("application/pem-certificate-chain");
    with_body(StatusCode::OK, pem, api.ca_pem.clone().into())
}
