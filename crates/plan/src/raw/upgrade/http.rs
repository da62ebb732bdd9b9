//! Listeners and their filters.

use super::{
    super::{
        error::RawError,
        members::Members,
        tree::{Node, Tree},
    },
    untyped,
};

const DOWNSTREAM_TLS: &str = "envoy.api.v2.auth.DownstreamTlsContext";

pub(super) fn filter_chain(members: &mut Members) -> Result<(), RawError> {
    if let Some(context) = members.take("tls_context") {
        members.put("transport_socket", untyped::tls_socket(context, DOWNSTREAM_TLS)?)?;
    }
    untyped::type_tls_socket(members, DOWNSTREAM_TLS)
}

/// The one field whose number v3 gave to another.
pub(super) fn quic(members: &mut Members) -> Result<(), RawError> {
    let Some(streams) = members.take("max_concurrent_streams") else { return Ok(()) };
    let place = streams.place.clone();
    members.put_new("quic_protocol_options", Node::map(&place, [("max_concurrent_streams", streams)]))
}

/// There was only one type.
pub(super) fn fault_delay(members: &mut Members) -> Result<(), RawError> {
    members.take("type").map_or(Ok(()), |r#type| match (&r#type.value, r#type.as_text()) {
        (Tree::Integer(0), _) | (_, Some("FIXED")) => Ok(()),
        _ => Err(r#type.mismatch("FIXED")),
    })
}

/// It chose between two versions of a service of which there is one today.
pub(super) fn ext_authz(members: &mut Members) -> Result<(), RawError> {
    members.take("use_alpha").map_or(Ok(()), |node| node.as_bool().map(drop))
}

pub(super) fn connection_manager(members: &mut Members) -> Result<(), RawError> {
    let Some(timeout) = members.take("idle_timeout") else { return Ok(()) };
    if let Some(Node { value: Tree::Map(options), .. }) = members.get_mut("common_http_protocol_options") {
        options.push(("idle_timeout".into(), timeout));
        return Ok(());
    }
    let place = timeout.place.clone();
    members.put("common_http_protocol_options", Node::map(&place, [("idle_timeout", timeout)]))
}

/// The direction of what is traced is a matter of the listener in v3 (`traffic_direction`).
pub(super) fn tracing(members: &mut Members) -> Result<(), RawError> {
    members.take("operation_name");
    let Some(headers) = members.take("request_headers_for_tags") else { return Ok(()) };
    let place = headers.place.clone();
    let mut tags = members.take("custom_tags").map(Node::into_items).unwrap_or_default();
    for header in headers.into_items() {
        let Some(name) = header.as_text() else { return Err(header.mismatch("text")) };
        let tag = Node::text(&header.place, name);
        let source = Node::map(&header.place, [("name", Node::text(&header.place, name))]);
        tags.push(Node::map(&header.place, [("tag", tag), ("request_header", source)]));
    }
    members.put("custom_tags", Node::list(&place, tags))
}

pub(super) fn redis_proxy(members: &mut Members) -> Result<(), RawError> {
    let Some(cluster) = members.take("cluster") else { return Ok(()) };
    if let Some(Node { value: Tree::Map(routes), .. }) = members.get_mut("prefix_routes") {
        routes.push(("catch_all_cluster".into(), cluster));
        return Ok(());
    }
    let place = cluster.place.clone();
    members.put("prefix_routes", Node::map(&place, [("catch_all_cluster", cluster)]))
}

pub(super) fn redis_routes(members: &mut Members) -> Result<(), RawError> {
    let Some(cluster) = members.take("catch_all_cluster") else { return Ok(()) };
    let place = cluster.place.clone();
    members.put("catch_all_route", Node::map(&place, [("cluster", cluster)]))
}
