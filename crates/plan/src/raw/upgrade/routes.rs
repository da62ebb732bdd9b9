//! Routes and what they match.

use super::{
    super::{error::RawError, members::Members, tree::Node},
    extensions, untyped,
};

fn regex(regex: Node) -> Node {
    let place = regex.place.clone();
    Node::map(&place, [("regex", regex)])
}

/// A regular expression that is its own field in v2, and in v3 a field of a message.
fn to_safe_regex(members: &mut Members, unsafe_field: &str, safe_field: &str) -> Result<(), RawError> {
    members.take(unsafe_field).map_or(Ok(()), |node| members.put(safe_field, regex(node)))
}

pub(super) fn route_match(members: &mut Members) -> Result<(), RawError> {
    to_safe_regex(members, "regex", "safe_regex")
}

pub(super) fn header_matcher(members: &mut Members) -> Result<(), RawError> {
    to_safe_regex(members, "regex_match", "safe_regex_match")
}

pub(super) fn string_matcher(members: &mut Members) -> Result<(), RawError> {
    to_safe_regex(members, "regex", "safe_regex")
}

/// Without a value, in both versions, it is enough that the parameter is there.
pub(super) fn query_parameter_matcher(members: &mut Members) -> Result<(), RawError> {
    let is_regex = members.take("regex").map_or(Ok(false), |node| node.as_bool())?;
    let Some(value) = members.take("value") else { return Ok(()) };
    if value.as_text() == Some("") {
        return Ok(());
    }
    let place = value.place.clone();
    let matcher = if is_regex { ("safe_regex", regex(value)) } else { ("exact", value) };
    members.put("string_match", Node::map(&place, [matcher]))
}

/// A pattern of the path and a method become matchers of the headers that carry them.
pub(super) fn virtual_cluster(members: &mut Members) -> Result<(), RawError> {
    let pattern = members.take("pattern").map(|pattern| (":path", "safe_regex_match", regex(pattern)));
    let method = members.take("method");
    let method = method.filter(|method| method.as_text() != Some("METHOD_UNSPECIFIED"));
    let method = method.map(|method| (":method", "exact_match", method));
    let matchers = [pattern, method].into_iter().flatten().map(|(header, matcher, value)| {
        let place = value.place.clone();
        Node::map(&place, [("name", Node::text(&place, header)), (matcher, value)])
    });
    let matchers: Vec<_> = matchers.collect();
    let Some(place) = matchers.first().map(|matcher| matcher.place.clone()) else { return Ok(()) };
    members.put("headers", Node::list(&place, matchers))
}

pub(super) fn route_action(members: &mut Members) -> Result<(), RawError> {
    let Some(policy) = members.take("request_mirror_policy") else { return Ok(()) };
    let place = policy.place.clone();
    members.put("request_mirror_policies", Node::list(&place, vec![policy]))
}

/// The runtime key stood for a share in ten thousandths, and for none where the runtime has no such key.
pub(super) fn mirror_policy(members: &mut Members) -> Result<(), RawError> {
    let Some(key) = members.take("runtime_key").filter(|key| key.as_text() != Some("")) else {
        return Ok(());
    };
    let place = key.place.clone();
    let none = [("numerator", Node::integer(&place, 0)), ("denominator", Node::text(&place, "TEN_THOUSAND"))];
    let fraction = [("default_value", Node::map(&place, none)), ("runtime_key", key)];
    members.put("runtime_fraction", Node::map(&place, fraction))
}

pub(super) fn cors_policy(members: &mut Members) -> Result<(), RawError> {
    let exact = members.take("allow_origin");
    let regexes = members.take("allow_origin_regex");
    if let Some(place) = exact.as_ref().or(regexes.as_ref()).map(|node| node.place.clone()) {
        let items = |node: Option<Node>| node.map(Node::into_items).unwrap_or_default();
        let exact = items(exact).into_iter().map(|origin| ("exact", origin));
        let regexes = items(regexes).into_iter().map(|origin| ("safe_regex", regex(origin)));
        let matchers = exact.chain(regexes).map(|(matcher, value)| {
            let place = value.place.clone();
            Node::map(&place, [(matcher, value)])
        });
        members.put("allow_origin_string_match", Node::list(&place, matchers.collect()))?;
    }
    if let Some(enabled) = members.take("enabled") {
        let place = enabled.place.clone();
        let percent = Node::integer(&place, if enabled.as_bool()? { 100 } else { 0 });
        let share = Node::map(&place, [("numerator", percent)]);
        members.put("filter_enabled", Node::map(&place, [("default_value", share)]))?;
    }
    Ok(())
}

/// Of a virtual host, a route or a weighted cluster: by the names of HTTP filters.
pub(super) fn per_filter_config(members: &mut Members) -> Result<(), RawError> {
    if let Some(config) = members.take("per_filter_config") {
        let config = untyped::type_map(config, extensions::PER_ROUTE)?;
        members.put("typed_per_filter_config", config)?;
    }
    if let Some(config) = members.get_mut("typed_per_filter_config") {
        untyped::rename_keys(config, extensions::HTTP_FILTERS);
    }
    Ok(())
}
