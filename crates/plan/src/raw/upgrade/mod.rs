//! What v3 did not simply take over from v2.
//!
//! Names, types and numbers need nothing here: the decoder finds a field by its name in v2 and fills the one of the same
//! number in v3. Here are the fields that v3 dropped, each rewritten into what took its place or refused with what to do
//! instead, the untyped configuration of extensions, and the names that extensions had.

use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, ReflectMessage, Value};

use super::{
    constraints::Constraints,
    error::{Problem, RawError},
    members::{Field, Members},
    scalars,
    tree::{Node, Tree},
};

mod clusters;
mod extensions;
mod http;
pub(super) mod refused;
mod routes;
mod sources;
mod untyped;

type Rule = fn(&mut Members) -> Result<(), RawError>;

/// By the message of v2 whose fields are rewritten.
const RULES: &[(&str, Rule)] = &[
    ("envoy.api.v2.Cluster", clusters::cluster),
    ("envoy.api.v2.ClusterLoadAssignment.Policy", clusters::overprovisioning),
    ("envoy.api.v2.LoadBalancingPolicy.Policy", clusters::load_balancing_policy),
    ("envoy.api.v2.core.ConfigSource", sources::config_source),
    ("envoy.api.v2.core.HealthCheck.HttpHealthCheck", clusters::http_health_check),
    ("envoy.api.v2.auth.CertificateValidationContext", clusters::certificate_validation),
    ("envoy.api.v2.listener.FilterChain", http::filter_chain),
    ("envoy.api.v2.listener.QuicProtocolOptions", http::quic),
    ("envoy.api.v2.route.VirtualHost", routes::per_filter_config),
    ("envoy.api.v2.route.Route", routes::per_filter_config),
    ("envoy.api.v2.route.WeightedCluster.ClusterWeight", routes::per_filter_config),
    ("envoy.api.v2.route.RouteMatch", routes::route_match),
    ("envoy.api.v2.route.HeaderMatcher", routes::header_matcher),
    ("envoy.api.v2.route.QueryParameterMatcher", routes::query_parameter_matcher),
    ("envoy.api.v2.route.VirtualCluster", routes::virtual_cluster),
    ("envoy.api.v2.route.RouteAction", routes::route_action),
    ("envoy.api.v2.route.RouteAction.RequestMirrorPolicy", routes::mirror_policy),
    ("envoy.api.v2.route.CorsPolicy", routes::cors_policy),
    ("envoy.type.matcher.StringMatcher", routes::string_matcher),
    ("envoy.config.filter.fault.v2.FaultDelay", http::fault_delay),
    ("envoy.config.filter.http.ext_authz.v2.ExtAuthz", http::ext_authz),
    (
        "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager",
        http::connection_manager,
    ),
    ("envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager.Tracing", http::tracing),
    ("envoy.config.filter.network.redis_proxy.v2.RedisProxy", http::redis_proxy),
    ("envoy.config.filter.network.redis_proxy.v2.RedisProxy.PrefixRoutes", http::redis_routes),
];

/// Rewrites what the message has of v2, and gives a known extension that has no configuration an empty one.
pub(super) fn upgrade(members: &mut Members) -> Result<(), RawError> {
    if let Some(old) = &members.form.old {
        let name = old.full_name().to_owned();
        check_dropped(members)?;
        if let Some((_, rule)) = RULES.iter().find(|(message, _)| *message == name) {
            rule(members)?;
        }
        extensions::type_config(members)?;
    }
    extensions::complete(members)
}

/// The rules of v2 for fields that are about to be rewritten: v3 has none that would hold for them.
fn check_dropped(members: &Members) -> Result<(), RawError> {
    for member in members.iter() {
        let Field { old: Some(old), new: None } = &member.field else { continue };
        let Some(rules) = Constraints::v2().of(old.parent_message()).and_then(|it| it.field(old.number()))
        else {
            continue;
        };
        let (items, rules) = match &member.node.value {
            Tree::List(items) => (items.as_slice(), rules.items()),
            _ => (std::slice::from_ref(&member.node), Some(rules)),
        };
        for item in items {
            let value = match old.kind() {
                Kind::Enum(values) => Value::EnumNumber(scalars::enum_number(&values, item)?),
                kind => scalars::read(&kind, item)?,
            };
            if let Some(Err(rule)) = rules.map(|rules| rules.check(&value, &old.kind())) {
                return Err(item.place.rule(rule));
            }
        }
    }
    Ok(())
}

/// A field that is given, that v3 dropped, and that no rule has rewritten.
pub(super) fn dropped(field: &Field, node: &Node) -> RawError {
    let advice = field.old.as_ref().map(FieldDescriptor::full_name).map(refused::advice);
    node.place.error(Problem::Removed(advice.unwrap_or_default().to_owned()))
}

/// v3 kept the numbers of the values, and gave some of them other names.
pub(super) fn enum_number(old: &EnumDescriptor, new: &EnumDescriptor, node: &Node) -> Result<i32, RawError> {
    let number = scalars::enum_number(old, node)?;
    match new.get_value(number) {
        Some(_) => Ok(number),
        None => Err(node.place.error(Problem::Removed("its v3 API has no such value".to_owned()))),
    }
}

/// What a proxy fetches, it fetches in v3, whatever the text says: an Envoy of today knows no other.
pub(super) fn set_versions(message: &mut DynamicMessage) {
    const V3: i32 = 2;
    let version = match message.descriptor().full_name() {
        "envoy.config.core.v3.ConfigSource" => "resource_api_version",
        "envoy.config.core.v3.ApiConfigSource" => "transport_api_version",
        _ => return,
    };
    message.set_field_by_name(version, Value::EnumNumber(V3));
}

#[cfg(test)]
mod tests;
