//! The fields of v2 that nothing took the place of.

/// What to do instead of a field of v2, by its full name.
pub(super) fn advice(field: &str) -> &'static str {
    let found = REFUSED.iter().find(|(refused, _)| *refused == field);
    found.map_or("its v3 API has no such field", |(_, advice)| advice)
}

const REFUSED: &[(&str, &str)] = &[
    (
        "envoy.api.v2.auth.CertificateValidationContext.require_ocsp_staple",
        "set 'ocsp_staple_policy' of the DownstreamTlsContext",
    ),
    (UDP_NAME, UDP),
    (UDP_CONFIG, UDP),
    (UDP_TYPED_CONFIG, UDP),
    (
        "envoy.config.filter.network.tcp_proxy.v2.TcpProxy.deprecated_v1",
        "use filter chains, each with a 'filter_chain_match' and a TCP proxy of its own",
    ),
];

const UDP_NAME: &str = "envoy.api.v2.listener.UdpListenerConfig.udp_listener_name";
const UDP_CONFIG: &str = "envoy.api.v2.listener.UdpListenerConfig.config";
const UDP_TYPED_CONFIG: &str = "envoy.api.v2.listener.UdpListenerConfig.typed_config";
const UDP: &str = "write the listener in the v3 API, with its 'udp_listener_config'";

/// What to do instead of an extension that Envoy had in the time of v2 and no longer has, by any of its names or by the
/// message of its configuration, in v2 or in v3.
pub(in crate::raw) fn extension(name: &str) -> Option<&'static str> {
    let found = EXTENSIONS.iter().find(|(names, _)| names.contains(&name));
    found.map(|(_, advice)| *advice)
}

const EXTENSIONS: &[(&[&str], &str)] = &[
    (
        &[
            "envoy.gzip",
            "envoy.filters.http.gzip",
            "envoy.config.filter.http.gzip.v2.Gzip",
            "envoy.extensions.filters.http.gzip.v3.Gzip",
        ],
        "use the filter envoy.filters.http.compressor instead of gzip",
    ),
    (
        &["envoy.squash", "envoy.filters.http.squash", "envoy.config.filter.http.squash.v2.Squash"],
        "remove the filter squash",
    ),
    (
        &[
            "envoy.http_dynamo_filter",
            "envoy.filters.http.dynamo",
            "envoy.config.filter.http.dynamo.v2.Dynamo",
        ],
        "remove the filter dynamo",
    ),
    (
        &[
            "envoy.client_ssl_auth",
            "envoy.filters.network.client_ssl_auth",
            "envoy.config.filter.network.client_ssl_auth.v2.ClientSSLAuth",
        ],
        "use the filter envoy.filters.network.rbac instead of client_ssl_auth",
    ),
    (
        &[
            "envoy.lightstep",
            "envoy.tracers.lightstep",
            "envoy.config.trace.v2.LightstepConfig",
            "envoy.tracers.opencensus",
            "envoy.config.trace.v2.OpenCensusConfig",
            "envoy.dynamic.ot",
            "envoy.tracers.dynamic_ot",
            "envoy.config.trace.v2.DynamicOtConfig",
        ],
        "use the tracer envoy.tracers.opentelemetry instead",
    ),
];
