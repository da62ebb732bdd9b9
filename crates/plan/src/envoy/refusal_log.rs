//! Whom an inbound refuses in the TLS handshake: one JSON object a line into the FIFO that kuma-dp reads.
//!
//! Such a connection reaches no filter, so it is the listener that logs it.

use envoy_types::{
    pb::envoy::{
        config::accesslog::v3::{
            AccessLog, AccessLogFilter, ExtensionFilter, access_log, access_log_filter::FilterSpecifier,
            extension_filter,
        },
        extensions::access_loggers::filters::cel::v3::ExpressionFilter,
    },
    util::pack_any,
};
use serde::Serialize;

use super::{
    access_logs::{into_pipe, literally},
    chain_names,
};

/// Where refusals go, and what is said of the inbound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RefusalLog {
    pub(super) pipe: String,
    /// The service that was called.
    pub(super) destination: String,
}

/// Connections whose handshake has failed, and those that no filter chain takes; no others. A filter that looks for TLS and finds
/// none calls that a failure, too (Envoy 1.40), though the connection is served in plain text. What is not there is an error in
/// CEL, and does not match.
fn refused() -> String {
    format!(
        "(has(connection.transport_failure_reason) && xds.filter_chain_name != '{}') \
         || response.code_details == 'filter_chain_not_found'",
        chain_names::PLAIN
    )
}

pub(super) fn access_log(log: &RefusalLog, listener: &str) -> AccessLog {
    let fields = [
        ("target", "refused".to_owned()),
        ("inbound", literally(listener)),
        ("destination", literally(&log.destination)),
        ("source", "%DOWNSTREAM_PEER_URI_SAN%".to_owned()),
        ("address", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%".to_owned()),
        ("reason", "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%".to_owned()),
        ("details", "%RESPONSE_CODE_DETAILS%".to_owned()),
    ];
    let file = into_pipe(&log.pipe, fields);
    let refused = ExtensionFilter {
        name: "envoy.access_loggers.extension_filters.cel".to_owned(),
        config_type: Some(extension_filter::ConfigType::TypedConfig(pack_any(ExpressionFilter {
            expression: refused(),
            ..ExpressionFilter::default()
        }))),
    };
    AccessLog {
        name: "refused".to_owned(),
        filter: Some(AccessLogFilter { filter_specifier: Some(FilterSpecifier::ExtensionFilter(refused)) }),
        config_type: Some(access_log::ConfigType::TypedConfig(pack_any(file))),
    }
}
