//! Configuration that had no type in v2, and gets the one that the name of its extension stands for.

use std::rc::Rc;

use super::{
    super::{
        error::{Problem, RawError},
        members::Members,
        tree::{Node, Tree, shown},
    },
    extensions::{Extension, find},
    refused,
};

const TLS: &str = "envoy.transport_sockets.tls";

/// The transport socket that a TLS context of its own field became.
pub(super) fn tls_socket(context: Node, message: &str) -> Result<Node, RawError> {
    let place = context.place.clone();
    let context = context.into_any(message)?;
    Ok(Node::map(&place, [("name", Node::text(&place, TLS)), ("typed_config", context)]))
}

/// Gives the configuration of a TLS transport socket its type, which depends on which side the socket is on.
pub(super) fn type_tls_socket(members: &mut Members, message: &str) -> Result<(), RawError> {
    let Some(Node { value: Tree::Map(entries), .. }) = members.get_mut("transport_socket") else {
        return Ok(());
    };
    let name = entries.iter().find(|(key, _)| &**key == "name").and_then(|(_, name)| name.as_text());
    if !matches!(name, Some(TLS | "tls")) {
        return Ok(());
    }
    let Some(at) = entries.iter().position(|(key, _)| &**key == "config") else { return Ok(()) };
    let (_, config) = entries.remove(at);
    entries.push(("typed_config".into(), config.into_any(message)?));
    Ok(())
}

/// Why the configuration of an extension that is not known cannot be given a type.
pub(super) fn unknown(name: &str, config: &Node) -> RawError {
    config.place.error(match refused::extension(name) {
        Some(advice) => Problem::Removed(advice.to_owned()),
        None => Problem::UntypedConfig(shown(name)),
    })
}

/// A map from the names of extensions to their configuration.
pub(super) fn type_map(configs: Node, known: &[Extension]) -> Result<Node, RawError> {
    let (place, entries) = configs.into_map()?;
    let typed = entries.into_iter().map(|(name, config)| {
        let Some(extension) = find(known, &name) else {
            return Err(unknown(&name, &config));
        };
        Ok((Rc::from(extension.name), config.into_any(extension.config)?))
    });
    let value = Tree::Map(typed.collect::<Result<_, _>>()?);
    Ok(Node { place, value })
}

/// The same names as [`type_map`] gives, where the configuration has its type already.
pub(super) fn rename_keys(configs: &mut Node, known: &[Extension]) {
    let Tree::Map(entries) = &mut configs.value else { return };
    for (name, _) in entries {
        if let Some(extension) = find(known, name) {
            *name = extension.name.into();
        }
    }
}
