//! Where a proxy fetches what its configuration refers to.

use super::super::{
    error::RawError,
    members::Members,
    tree::{Node, Tree},
};

/// The port of Kuma 0.3.0's own server of secrets, which is no more: secrets come as everything else does.
const SECRETS_PORT: &str = ":5677";

pub(super) fn config_source(members: &mut Members) -> Result<(), RawError> {
    let is_kumas = members.get_mut("api_config_source").is_some_and(|source| {
        let service = entry(source, "grpcServices", "grpc_services");
        let server = service.and_then(|service| entry(service, "googleGrpc", "google_grpc"));
        let uri = server.and_then(|server| entry(server, "targetUri", "target_uri"));
        uri.and_then(Node::as_text).is_some_and(|uri| uri.ends_with(SECRETS_PORT))
    });
    if is_kumas && let Some(source) = members.take("api_config_source") {
        members.put("ads", Node::map(&source.place, []))?;
    }
    Ok(())
}

/// What stands under a key, in either spelling; of a list, in its first item.
fn entry<'a>(node: &'a Node, lower_camel: &str, snake: &str) -> Option<&'a Node> {
    match &node.value {
        Tree::Map(entries) => {
            entries.iter().find(|(key, _)| [lower_camel, snake].contains(&&**key)).map(|(_, node)| node)
        }
        Tree::List(items) => entry(items.first()?, lower_camel, snake),
        _ => None,
    }
}
