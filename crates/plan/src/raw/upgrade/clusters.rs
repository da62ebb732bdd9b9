//! Clusters, their endpoints, health checks and TLS.

use super::{
    super::{
        error::{Problem, RawError},
        members::Members,
        tree::{Node, Tree},
    },
    extensions, untyped,
};

pub(super) const UPSTREAM_TLS: &str = "envoy.api.v2.auth.UpstreamTlsContext";

pub(super) fn cluster(members: &mut Members) -> Result<(), RawError> {
    if let Some(hosts) = members.take("hosts") {
        hosts_to_endpoints(members, hosts)?;
    }
    if let Some(context) = members.take("tls_context") {
        members.put("transport_socket", untyped::tls_socket(context, UPSTREAM_TLS)?)?;
    }
    untyped::type_tls_socket(members, UPSTREAM_TLS)?;
    if let Some(policy) = members.get_mut("lb_policy") {
        const ORIGINAL_DST_LB: i128 = 4;
        let is_dropped = match &policy.value {
            Tree::Text(name) => name == "ORIGINAL_DST_LB",
            Tree::Integer(number) => *number == ORIGINAL_DST_LB,
            _ => false,
        };
        if is_dropped {
            *policy = Node::text(&policy.place, "CLUSTER_PROVIDED");
        }
    }
    if let Some(options) = members.take("extension_protocol_options") {
        let options = untyped::type_map(options, extensions::PROTOCOL_OPTIONS)?;
        members.put("typed_extension_protocol_options", options)?;
    }
    Ok(())
}

/// An address a host; all of them one locality.
fn hosts_to_endpoints(members: &mut Members, hosts: Node) -> Result<(), RawError> {
    let place = hosts.place.clone();
    let endpoint = |address: Node| {
        let place = address.place.clone();
        let endpoint = Node::map(&place, [("address", address)]);
        Node::map(&place, [("endpoint", endpoint)])
    };
    let endpoints = hosts.into_items().into_iter().map(endpoint).collect();
    let locality = Node::map(&place, [("lb_endpoints", Node::list(&place, endpoints))]);
    let name = Node::text(&members.place.key("name".into()), members.text("name").unwrap_or_default());
    let assignment = [("cluster_name", name), ("endpoints", Node::list(&place, vec![locality]))];
    members.put("load_assignment", Node::map(&place, assignment))
}

/// It did nothing in the end, and nothing took its place.
pub(super) fn overprovisioning(members: &mut Members) -> Result<(), RawError> {
    members.take("disable_overprovisioning").map_or(Ok(()), |node| node.as_bool().map(drop))
}

pub(super) fn load_balancing_policy(members: &mut Members) -> Result<(), RawError> {
    if let Some(config) = members.take("config") {
        return Err(untyped::unknown(members.text("name").unwrap_or_default(), &config));
    }
    let place = members.place.clone();
    let entries = ["name", "typed_config"].map(|name| Some((name.into(), members.take(name)?)));
    let extension = Node { place, value: Tree::Map(entries.into_iter().flatten().collect()) };
    members.put_new("typed_extension_config", extension)
}

pub(super) fn http_health_check(members: &mut Members) -> Result<(), RawError> {
    if let Some(name) = members.take("service_name") {
        let place = name.place.clone();
        members.put("service_name_matcher", Node::map(&place, [("prefix", name)]))?;
    }
    if let Some(use_http2) = members.take("use_http2")
        && use_http2.as_bool()?
    {
        members.put("codec_client_type", Node::text(&use_http2.place, "HTTP2"))?;
    }
    Ok(())
}

/// v2 looked for a name in all subject alternative names, whatever their types.
pub(super) fn certificate_validation(members: &mut Members) -> Result<(), RawError> {
    let Some(names) = members.take("verify_subject_alt_name") else { return Ok(()) };
    let place = names.place.clone();
    if members.has("match_subject_alt_names") {
        let both = ["verify_subject_alt_name", "match_subject_alt_names"].map(str::to_owned);
        let [first, second] = both;
        return Err(members.place.error(Problem::OnlyOneOf(first, second)));
    }
    let mut matchers = Vec::new();
    for name in names.into_items() {
        let Some(text) = name.as_text() else { return Err(name.mismatch("text")) };
        for san_type in ["DNS", "URI", "IP_ADDRESS"] {
            let matcher = Node::map(&name.place, [("exact", Node::text(&name.place, text))]);
            let san_type = Node::text(&name.place, san_type);
            matchers.push(Node::map(&name.place, [("san_type", san_type), ("matcher", matcher)]));
        }
    }
    members.put_new("match_typed_subject_alt_names", Node::list(&place, matchers))
}
