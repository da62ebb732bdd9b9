//! The extensions that had a name, and perhaps untyped configuration, in v2.

use super::{
    super::{error::RawError, members::Members, tree::Node},
    untyped,
};

pub(super) struct Extension {
    /// The name of v2, where it was another.
    legacy: Option<&'static str>,
    pub(super) name: &'static str,
    /// The message of v2 that its configuration is.
    pub(super) config: &'static str,
}

pub(super) fn find<'a>(known: &'a [Extension], name: &str) -> Option<&'a Extension> {
    known.iter().find(|extension| extension.name == name || extension.legacy == Some(name))
}

const fn of(name: &'static str, config: &'static str) -> Extension {
    Extension { legacy: None, name, config }
}

const fn renamed(legacy: &'static str, name: &'static str, config: &'static str) -> Extension {
    Extension { legacy: Some(legacy), name, config }
}

/// What has a name and the configuration of an extension, by its message of v3.
pub(super) const HOLDERS: &[(&str, &[Extension])] = &[
    ("envoy.config.listener.v3.Filter", NETWORK_FILTERS),
    ("envoy.config.listener.v3.ListenerFilter", LISTENER_FILTERS),
    ("envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter", HTTP_FILTERS),
    ("envoy.extensions.filters.network.thrift_proxy.v3.ThriftFilter", THRIFT_FILTERS),
    ("envoy.config.accesslog.v3.AccessLog", ACCESS_LOGS),
    ("envoy.config.accesslog.v3.ExtensionFilter", &[]),
    ("envoy.config.core.v3.TransportSocket", TRANSPORT_SOCKETS),
    ("envoy.config.core.v3.HealthCheck.CustomHealthCheck", HEALTH_CHECKS),
    (
        "envoy.config.core.v3.GrpcService.GoogleGrpc.CallCredentials.MetadataCredentialsFromPlugin",
        CREDENTIALS,
    ),
    ("envoy.config.trace.v3.Tracing.Http", TRACERS),
    ("envoy.config.route.v3.RetryPolicy.RetryHostPredicate", RETRY_HOST_PREDICATES),
    ("envoy.config.route.v3.RetryPolicy.RetryPriority", RETRY_PRIORITIES),
    ("envoy.extensions.transport_sockets.tls.v3.PrivateKeyProvider", &[]),
];

fn known(members: &Members) -> Option<&'static [Extension]> {
    let holder = members.form.new.full_name();
    HOLDERS.iter().find(|(message, _)| *message == holder).map(|(_, known)| *known)
}

/// The field that has an extension's name.
const NAMES: [&str; 2] = ["name", "provider_name"];

fn name(members: &Members) -> Option<&str> {
    NAMES.iter().find_map(|field| members.text(field))
}

/// Gives the untyped configuration of a known extension its type, and the extension its name of today.
pub(super) fn type_config(members: &mut Members) -> Result<(), RawError> {
    let Some(known) = known(members) else { return Ok(()) };
    let extension = name(members).and_then(|name| find(known, name));
    if let Some(config) = members.take("config") {
        let Some(extension) = extension else {
            return Err(untyped::unknown(name(members).unwrap_or_default(), &config));
        };
        members.put("typed_config", config.into_any(extension.config)?)?;
    }
    if let Some(extension) = extension
        && let Some(name) = members.get_mut("name")
    {
        *name = Node::text(&name.place, extension.name);
    }
    Ok(())
}

/// Gives an empty configuration to a known extension that has none: Envoy wants one today, and did not in v2.
pub(super) fn complete(members: &mut Members) -> Result<(), RawError> {
    let Some(known) = known(members) else { return Ok(()) };
    let Some(extension) = name(members).and_then(|name| find(known, name)) else { return Ok(()) };
    if members.has("typed_config") || members.has("config_discovery") {
        return Ok(());
    }
    let place = members.place.clone();
    let empty = Node::map(&place, []);
    members.put_new("typed_config", empty.into_any(extension.config)?)
}

const NETWORK_FILTERS: &[Extension] = &[
    renamed(
        "envoy.http_connection_manager",
        "envoy.filters.network.http_connection_manager",
        "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager",
    ),
    renamed(
        "envoy.tcp_proxy",
        "envoy.filters.network.tcp_proxy",
        "envoy.config.filter.network.tcp_proxy.v2.TcpProxy",
    ),
    renamed("envoy.echo", "envoy.filters.network.echo", "envoy.config.filter.network.echo.v2.Echo"),
    renamed(
        "envoy.ext_authz",
        "envoy.filters.network.ext_authz",
        "envoy.config.filter.network.ext_authz.v2.ExtAuthz",
    ),
    renamed(
        "envoy.mongo_proxy",
        "envoy.filters.network.mongo_proxy",
        "envoy.config.filter.network.mongo_proxy.v2.MongoProxy",
    ),
    renamed(
        "envoy.ratelimit",
        "envoy.filters.network.ratelimit",
        "envoy.config.filter.network.rate_limit.v2.RateLimit",
    ),
    renamed(
        "envoy.redis_proxy",
        "envoy.filters.network.redis_proxy",
        "envoy.config.filter.network.redis_proxy.v2.RedisProxy",
    ),
    of("envoy.filters.network.rbac", "envoy.config.filter.network.rbac.v2.RBAC"),
    of("envoy.filters.network.sni_cluster", "envoy.config.filter.network.sni_cluster.v2.SniCluster"),
    of("envoy.filters.network.direct_response", "envoy.config.filter.network.direct_response.v2.Config"),
    of("envoy.filters.network.dubbo_proxy", "envoy.config.filter.network.dubbo_proxy.v2alpha1.DubboProxy"),
    of(
        "envoy.filters.network.local_ratelimit",
        "envoy.config.filter.network.local_rate_limit.v2alpha.LocalRateLimit",
    ),
    of("envoy.filters.network.thrift_proxy", "envoy.config.filter.network.thrift_proxy.v2alpha1.ThriftProxy"),
    of(
        "envoy.filters.network.zookeeper_proxy",
        "envoy.config.filter.network.zookeeper_proxy.v1alpha1.ZooKeeperProxy",
    ),
];

const LISTENER_FILTERS: &[Extension] = &[
    renamed(
        "envoy.listener.http_inspector",
        "envoy.filters.listener.http_inspector",
        "envoy.config.filter.listener.http_inspector.v2.HttpInspector",
    ),
    renamed(
        "envoy.listener.original_dst",
        "envoy.filters.listener.original_dst",
        "envoy.config.filter.listener.original_dst.v2.OriginalDst",
    ),
    renamed(
        "envoy.listener.original_src",
        "envoy.filters.listener.original_src",
        "envoy.config.filter.listener.original_src.v2alpha1.OriginalSrc",
    ),
    renamed(
        "envoy.listener.proxy_protocol",
        "envoy.filters.listener.proxy_protocol",
        "envoy.config.filter.listener.proxy_protocol.v2.ProxyProtocol",
    ),
    renamed(
        "envoy.listener.tls_inspector",
        "envoy.filters.listener.tls_inspector",
        "envoy.config.filter.listener.tls_inspector.v2.TlsInspector",
    ),
];

pub(super) const HTTP_FILTERS: &[Extension] = &[
    renamed("envoy.router", "envoy.filters.http.router", "envoy.config.filter.http.router.v2.Router"),
    renamed("envoy.buffer", "envoy.filters.http.buffer", "envoy.config.filter.http.buffer.v2.Buffer"),
    renamed("envoy.cors", "envoy.filters.http.cors", "envoy.config.filter.http.cors.v2.Cors"),
    renamed("envoy.csrf", "envoy.filters.http.csrf", "envoy.config.filter.http.csrf.v2.CsrfPolicy"),
    renamed(
        "envoy.ext_authz",
        "envoy.filters.http.ext_authz",
        "envoy.config.filter.http.ext_authz.v2.ExtAuthz",
    ),
    renamed("envoy.fault", "envoy.filters.http.fault", "envoy.config.filter.http.fault.v2.HTTPFault"),
    renamed(
        "envoy.grpc_http1_bridge",
        "envoy.filters.http.grpc_http1_bridge",
        "envoy.config.filter.http.grpc_http1_bridge.v2.Config",
    ),
    renamed(
        "envoy.grpc_json_transcoder",
        "envoy.filters.http.grpc_json_transcoder",
        "envoy.config.filter.http.transcoder.v2.GrpcJsonTranscoder",
    ),
    renamed("envoy.grpc_web", "envoy.filters.http.grpc_web", "envoy.config.filter.http.grpc_web.v2.GrpcWeb"),
    renamed(
        "envoy.health_check",
        "envoy.filters.http.health_check",
        "envoy.config.filter.http.health_check.v2.HealthCheck",
    ),
    renamed(
        "envoy.ip_tagging",
        "envoy.filters.http.ip_tagging",
        "envoy.config.filter.http.ip_tagging.v2.IPTagging",
    ),
    renamed("envoy.lua", "envoy.filters.http.lua", "envoy.config.filter.http.lua.v2.Lua"),
    renamed(
        "envoy.rate_limit",
        "envoy.filters.http.ratelimit",
        "envoy.config.filter.http.rate_limit.v2.RateLimit",
    ),
    of(
        "envoy.filters.http.adaptive_concurrency",
        "envoy.config.filter.http.adaptive_concurrency.v2alpha.AdaptiveConcurrency",
    ),
    of("envoy.filters.http.aws_lambda", "envoy.config.filter.http.aws_lambda.v2alpha.Config"),
    of(
        "envoy.filters.http.aws_request_signing",
        "envoy.config.filter.http.aws_request_signing.v2alpha.AwsRequestSigning",
    ),
    of("envoy.filters.http.cache", "envoy.config.filter.http.cache.v2alpha.CacheConfig"),
    of(
        "envoy.filters.http.dynamic_forward_proxy",
        "envoy.config.filter.http.dynamic_forward_proxy.v2alpha.FilterConfig",
    ),
    of(
        "envoy.filters.http.grpc_http1_reverse_bridge",
        "envoy.config.filter.http.grpc_http1_reverse_bridge.v2alpha1.FilterConfig",
    ),
    of("envoy.filters.http.grpc_stats", "envoy.config.filter.http.grpc_stats.v2alpha.FilterConfig"),
    of("envoy.filters.http.header_to_metadata", "envoy.config.filter.http.header_to_metadata.v2.Config"),
    of("envoy.filters.http.jwt_authn", "envoy.config.filter.http.jwt_authn.v2alpha.JwtAuthentication"),
    of("envoy.filters.http.on_demand", "envoy.config.filter.http.on_demand.v2.OnDemand"),
    of("envoy.filters.http.original_src", "envoy.config.filter.http.original_src.v2alpha1.OriginalSrc"),
    of("envoy.filters.http.rbac", "envoy.config.filter.http.rbac.v2.RBAC"),
    of("envoy.filters.http.tap", "envoy.config.filter.http.tap.v2alpha.Tap"),
];

/// The configuration of HTTP filters for one route, virtual host or cluster.
pub(super) const PER_ROUTE: &[Extension] = &[
    renamed("envoy.buffer", "envoy.filters.http.buffer", "envoy.config.filter.http.buffer.v2.BufferPerRoute"),
    renamed("envoy.csrf", "envoy.filters.http.csrf", "envoy.config.filter.http.csrf.v2.CsrfPolicy"),
    renamed(
        "envoy.ext_authz",
        "envoy.filters.http.ext_authz",
        "envoy.config.filter.http.ext_authz.v2.ExtAuthzPerRoute",
    ),
    renamed("envoy.fault", "envoy.filters.http.fault", "envoy.config.filter.http.fault.v2.HTTPFault"),
    of("envoy.filters.http.aws_lambda", "envoy.config.filter.http.aws_lambda.v2alpha.PerRouteConfig"),
    of(
        "envoy.filters.http.dynamic_forward_proxy",
        "envoy.config.filter.http.dynamic_forward_proxy.v2alpha.PerRouteConfig",
    ),
    of(
        "envoy.filters.http.grpc_http1_reverse_bridge",
        "envoy.config.filter.http.grpc_http1_reverse_bridge.v2alpha1.FilterConfigPerRoute",
    ),
    of("envoy.filters.http.header_to_metadata", "envoy.config.filter.http.header_to_metadata.v2.Config"),
    of("envoy.filters.http.rbac", "envoy.config.filter.http.rbac.v2.RBACPerRoute"),
];

/// What a cluster says to network filters.
pub(super) const PROTOCOL_OPTIONS: &[Extension] = &[
    renamed(
        "envoy.redis_proxy",
        "envoy.filters.network.redis_proxy",
        "envoy.config.filter.network.redis_proxy.v2.RedisProtocolOptions",
    ),
    of(
        "envoy.filters.network.thrift_proxy",
        "envoy.config.filter.network.thrift_proxy.v2alpha1.ThriftProtocolOptions",
    ),
];

const THRIFT_FILTERS: &[Extension] = &[
    of("envoy.filters.thrift.rate_limit", "envoy.config.filter.thrift.rate_limit.v2alpha1.RateLimit"),
    of("envoy.filters.thrift.router", "envoy.config.filter.thrift.router.v2alpha1.Router"),
];

const ACCESS_LOGS: &[Extension] = &[
    renamed("envoy.file_access_log", "envoy.access_loggers.file", "envoy.config.accesslog.v2.FileAccessLog"),
    renamed(
        "envoy.http_grpc_access_log",
        "envoy.access_loggers.http_grpc",
        "envoy.config.accesslog.v2.HttpGrpcAccessLogConfig",
    ),
    renamed(
        "envoy.tcp_grpc_access_log",
        "envoy.access_loggers.tcp_grpc",
        "envoy.config.accesslog.v2.TcpGrpcAccessLogConfig",
    ),
];

/// TLS is not among them: its type depends on the side that it is on.
const TRANSPORT_SOCKETS: &[Extension] = &[
    renamed(
        "raw_buffer",
        "envoy.transport_sockets.raw_buffer",
        "envoy.config.transport_socket.raw_buffer.v2.RawBuffer",
    ),
    of("envoy.transport_sockets.alts", "envoy.config.transport_socket.alts.v2alpha.Alts"),
    of("envoy.transport_sockets.tap", "envoy.config.transport_socket.tap.v2alpha.Tap"),
];

const HEALTH_CHECKS: &[Extension] =
    &[of("envoy.health_checkers.redis", "envoy.config.health_checker.redis.v2.Redis")];

const CREDENTIALS: &[Extension] = &[of(
    "envoy.grpc_credentials.file_based_metadata",
    "envoy.config.grpc_credential.v2alpha.FileBasedMetadataConfig",
)];

const TRACERS: &[Extension] = &[
    renamed("envoy.zipkin", "envoy.tracers.zipkin", "envoy.config.trace.v2.ZipkinConfig"),
    of("envoy.tracers.datadog", "envoy.config.trace.v2.DatadogConfig"),
    of("envoy.tracers.xray", "envoy.config.trace.v2alpha.XRayConfig"),
];

const RETRY_HOST_PREDICATES: &[Extension] = &[
    of(
        "envoy.retry_host_predicates.omit_canary_hosts",
        "envoy.config.retry.omit_canary_hosts.v2.OmitCanaryHostsPredicate",
    ),
    of(
        "envoy.retry_host_predicates.omit_host_metadata",
        "envoy.config.retry.omit_host_metadata.v2.OmitHostMetadataConfig",
    ),
    of(
        "envoy.retry_host_predicates.previous_hosts",
        "envoy.config.retry.previous_hosts.v2.PreviousHostsPredicate",
    ),
];

const RETRY_PRIORITIES: &[Extension] = &[of(
    "envoy.retry_priorities.previous_priorities",
    "envoy.config.retry.previous_priorities.PreviousPrioritiesConfig",
)];
