//! Whether the inbounds of a proxy look for TLS in what comes: a listener filter, delivered apart from the listeners (ECDS).
//!
//! Envoy drains a whole listener when anything but its filter chains changes. So every inbound names this filter from the
//! beginning, and mTLS comes and goes with what it does: nothing, without a byte waited for, or inspect.

use envoy_types::{
    pb::{
        envoy::{
            config::core::v3::{RuntimeFeatureFlag, TypedExtensionConfig},
            extensions::filters::listener::{
                local_ratelimit::v3::LocalRateLimit, tls_inspector::v3::TlsInspector,
            },
            r#type::v3::TokenBucket,
        },
        google::protobuf::{BoolValue, Duration},
    },
    util::pack_any,
};
use serde::Serialize;

/// The name of the filter and of the extension: one for all inbounds of a proxy.
pub(super) const NAME: &str = "tls_inspection";

pub(super) const TYPE_URLS: [&str; 2] = [
    "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    "type.googleapis.com/envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum TlsInspection {
    Off,
    On,
}

pub(super) fn extension(inspection: TlsInspection) -> TypedExtensionConfig {
    let filter = match inspection {
        TlsInspection::On => pack_any(TlsInspector::default()),
        // Envoy has no listener filter that does nothing but this one, when it is not enabled.
        TlsInspection::Off => pack_any(LocalRateLimit {
            stat_prefix: NAME.to_owned(),
            token_bucket: Some(TokenBucket {
                max_tokens: 1,
                fill_interval: Some(Duration { seconds: 1, nanos: 0 }),
                ..TokenBucket::default()
            }),
            runtime_enabled: Some(RuntimeFeatureFlag {
                default_value: Some(BoolValue { value: false }),
                runtime_key: "kuma.tls_inspection".to_owned(),
            }),
        }),
    };
    TypedExtensionConfig { name: NAME.to_owned(), typed_config: Some(filter) }
}
