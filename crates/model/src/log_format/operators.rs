//! The operators that Envoy has for access logs, as of Envoy 1.40: each was tried in a log of its tcp_proxy filter. Those
//! for HTTP alone are legal there and print `-`.

/// How an operator may be written.
#[derive(Clone, Copy)]
pub(super) struct Operator {
    /// `None`: it takes no argument.
    pub(super) argument: Option<Argument>,
    /// Whether `:length` may follow, to cut the value.
    pub(super) length: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Argument {
    pub(super) required: bool,
    /// For what is not empty.
    pub(super) is_valid: fn(&str) -> bool,
    /// Completes "the argument has to be …".
    pub(super) description: &'static str,
}

impl Operator {
    pub(super) const PLAIN: Self = Self { argument: None, length: false };

    pub(super) fn find(name: &str) -> Option<Self> {
        if PLAIN.contains(&name) {
            return Some(Self::PLAIN);
        }
        WITH_ARGUMENT.iter().find(|(known, _)| *known == name).map(|(_, operator)| *operator)
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        PLAIN.iter().copied().chain(WITH_ARGUMENT.iter().map(|(name, _)| *name))
    }
}

const fn required(is_valid: fn(&str) -> bool, description: &'static str) -> Operator {
    Operator { argument: Some(Argument { required: true, is_valid, description }), length: false }
}

const fn optional(is_valid: fn(&str) -> bool, description: &'static str) -> Operator {
    Operator { argument: Some(Argument { required: false, is_valid, description }), length: false }
}

const fn cut(operator: Operator) -> Operator {
    Operator { length: true, ..operator }
}

/// Not supported: their arguments are programs that only Envoy can read, and one that it cannot read would cost the
/// listener.
pub(super) const PROGRAMS: &[&str] = &["CEL", "COALESCE", "TYPED_CEL"];

/// Those that an Envoy older than 1.40 may refuse: each was tried in 1.36.
pub(super) const NEW: &[&str] = &[
    "DOWNSTREAM_CX_RTT",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER_SERIAL",
    "DOWNSTREAM_TLS_GROUP",
    "LISTENER_NAME",
    "QUERY_PARAMS",
    "ROUTE_RESOLUTION_COUNT",
    "ROUTE_RESOLUTION_TIME_US",
    "SPAN_ID",
    "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_HOST_NAMES_ATTEMPTED",
    "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
    "UPSTREAM_SERVER_NAME",
    "UPSTREAM_TLS_GROUP",
];

/// Those whose argument an Envoy older than 1.40 may refuse.
pub(super) const WITH_NEW_ARGUMENT: &[&str] = &[
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "REQUESTED_SERVER_NAME",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
];

const HEADERS: Operator = cut(required(is_headers, "a header's name, or two as in X?Y"));
const TIME: Operator = optional(is_time_format, "a format of strftime without %n");
const ADDRESS_WITHOUT_PORT: Operator = optional(is_any, "the number of bits to keep");
const FILTER_STATE: Operator = cut(required(is_filter_state, "KEY, KEY:PLAIN, KEY:TYPED or KEY:FIELD:NAME"));

const WITH_ARGUMENT: &[(&str, Operator)] = &[
    ("CLUSTER_METADATA", required(is_any, "NAMESPACE:KEY")),
    ("COMMON_DURATION", required(is_duration, "START:END, and :ms, :us or :ns")),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", ADDRESS_WITHOUT_PORT),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", ADDRESS_WITHOUT_PORT),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", ADDRESS_WITHOUT_PORT),
    ("DOWNSTREAM_PEER_CERT_V_END", TIME),
    ("DOWNSTREAM_PEER_CERT_V_START", TIME),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", ADDRESS_WITHOUT_PORT),
    ("DYNAMIC_METADATA", cut(required(is_any, "NAMESPACE:KEY"))),
    ("EMIT_TIME", TIME),
    ("EMIT_TIME_LOCAL", TIME),
    ("ENVIRONMENT", cut(required(is_any, "the name of a variable"))),
    ("FILTER_STATE", FILTER_STATE),
    ("GRPC_STATUS", optional(is_grpc_status, "CAMEL_STRING, SNAKE_STRING or NUMBER")),
    (
        "METADATA",
        cut(required(is_metadata, "TYPE:NAMESPACE:KEY with a TYPE such as DYNAMIC, CLUSTER or ROUTE")),
    ),
    ("PATH", cut(optional(is_path, "WQ or NQ, then :ORIG, :PATH or :ORIG_OR_PATH"))),
    ("QUERY_PARAM", cut(required(is_any, "the name of a parameter"))),
    ("QUERY_PARAMS", cut(optional(is_query_params, "ORIG or DECODED"))),
    ("REQ", HEADERS),
    (
        "REQUESTED_SERVER_NAME",
        optional(is_server_name, "SNI_ONLY, SNI_FIRST or HOST_FIRST, then :ORIG, :HOST or :ORIG_OR_HOST"),
    ),
    ("REQUEST_HEADER", HEADERS),
    ("RESP", HEADERS),
    ("RESPONSE_CODE_DETAILS", optional(is_any, "ALLOW_WHITESPACES")),
    ("RESPONSE_HEADER", HEADERS),
    ("RESPONSE_TRAILER", HEADERS),
    ("START_TIME", TIME),
    ("START_TIME_LOCAL", TIME),
    ("STREAM_INFO_REQ", HEADERS),
    ("TRAILER", HEADERS),
    ("UPSTREAM_FILTER_STATE", FILTER_STATE),
    ("UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", ADDRESS_WITHOUT_PORT),
    ("UPSTREAM_METADATA", required(is_any, "NAMESPACE:KEY")),
    ("UPSTREAM_PEER_CERT_V_END", TIME),
    ("UPSTREAM_PEER_CERT_V_START", TIME),
    ("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", ADDRESS_WITHOUT_PORT),
];

/// Without argument and length.
const PLAIN: &[&str] = &[
    "ACCESS_LOG_TYPE",
    "BYTES_RECEIVED",
    "BYTES_RETRANSMITTED",
    "BYTES_SENT",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_CX_RTT",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_DIRECT_LOCAL_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_PORT",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_EMAIL_SAN",
    "DOWNSTREAM_LOCAL_IP_SAN",
    "DOWNSTREAM_LOCAL_OTHERNAME_SAN",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    "DOWNSTREAM_PEER_CHAIN_SERIALS",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_EMAIL_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_IP_SAN",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER_SERIAL",
    "DOWNSTREAM_PEER_OTHERNAME_SAN",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_GROUP",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DURATION",
    "FILTER_CHAIN_NAME",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "LISTENER_NAME",
    "LOCAL_REPLY_BODY",
    "PACKETS_RETRANSMITTED",
    "PROTOCOL",
    "REQUEST_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "RESPONSE_TX_DURATION",
    "ROUNDTRIP_DURATION",
    "ROUTE_NAME",
    "ROUTE_RESOLUTION_COUNT",
    "ROUTE_RESOLUTION_TIME_US",
    "SPAN_ID",
    "STREAM_ID",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "TRACE_ID",
    "UNIQUE_ID",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_CLUSTER_RAW",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOST",
    "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_HOST_NAMES_ATTEMPTED",
    "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_HOST_NAME_WITHOUT_PORT",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_LOCAL_DNS_SAN",
    "UPSTREAM_LOCAL_IP_SAN",
    "UPSTREAM_LOCAL_PORT",
    "UPSTREAM_LOCAL_URI_SAN",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_DNS_SAN",
    "UPSTREAM_PEER_IP_SAN",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PEER_URI_SAN",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_SERVER_NAME",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_GROUP",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
];

fn is_any(_argument: &str) -> bool {
    true
}

/// `X` or `X?Y`, both names of headers (RFC 9110, 5.6.2) or pseudo-headers. Envoy lets them be empty.
fn is_headers(argument: &str) -> bool {
    argument.split('?').count() <= 2 && argument.split('?').all(is_header_name)
}

fn is_header_name(name: &str) -> bool {
    let (is_pseudo_header, name) = name.strip_prefix(':').map_or((false, name), |name| (true, name));
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    is_name && !(is_pseudo_header && name.is_empty())
}

/// Envoy refuses what prints a line break, which is `%n` with any flags and width.
fn is_time_format(argument: &str) -> bool {
    let is_flag_or_width = |char: char| char.is_ascii_digit() || "-_^#EO".contains(char);
    !argument.split('%').skip(1).any(|after| after.trim_start_matches(is_flag_or_width).starts_with('n'))
}

fn is_duration(argument: &str) -> bool {
    matches!(argument.split(':').collect::<Vec<_>>()[..], [_, _] | [_, _, "ms" | "us" | "ns"])
}

fn is_filter_state(argument: &str) -> bool {
    match argument.split(':').collect::<Vec<_>>()[..] {
        [key] | [key, "PLAIN" | "TYPED"] => !key.is_empty(),
        [key, "FIELD", field] => !key.is_empty() && !field.is_empty(),
        _ => false,
    }
}

fn is_grpc_status(argument: &str) -> bool {
    matches!(argument, "CAMEL_STRING" | "SNAKE_STRING" | "NUMBER")
}

fn is_metadata(argument: &str) -> bool {
    let kind = argument.split(':').next().unwrap_or_default();
    matches!(
        kind,
        "DYNAMIC"
            | "CLUSTER"
            | "ROUTE"
            | "UPSTREAM_HOST"
            | "LISTENER"
            | "LISTENER_FILTER_CHAIN"
            | "VIRTUAL_HOST"
    )
}

fn is_path(argument: &str) -> bool {
    matches!(
        argument.split(':').collect::<Vec<_>>()[..],
        ["WQ" | "NQ"] | ["" | "WQ" | "NQ", "ORIG" | "PATH" | "ORIG_OR_PATH"]
    )
}

fn is_query_params(argument: &str) -> bool {
    matches!(argument, "ORIG" | "DECODED")
}

fn is_server_name(argument: &str) -> bool {
    matches!(
        argument.split(':').collect::<Vec<_>>()[..],
        ["SNI_ONLY" | "SNI_FIRST" | "HOST_FIRST"]
            | ["" | "SNI_ONLY" | "SNI_FIRST" | "HOST_FIRST", "ORIG" | "HOST" | "ORIG_OR_HOST"]
    )
}
