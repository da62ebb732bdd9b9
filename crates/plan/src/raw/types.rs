//! Which messages are resources, and which message a type URL names.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

use super::{error::Problem, tree::shown, upgrade};
use crate::descriptors;

/// A type that a template can give to a proxy.
pub(super) struct ResourceType {
    pub(super) type_url: &'static str,
    /// The field that has the resource's name.
    pub(super) name_field: &'static str,
}

/// The five types that Kuma 0.3.0 gave to a proxy, and those that a proxy asks for because one of the five refers to
/// them. Runtime, say, is no such type: only a bootstrap can refer to it.
const RESOURCES: [ResourceType; 8] = [
    resource_type("type.googleapis.com/envoy.config.listener.v3.Listener", "name"),
    resource_type("type.googleapis.com/envoy.config.cluster.v3.Cluster", "name"),
    resource_type("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "cluster_name"),
    resource_type("type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "name"),
    resource_type("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "name"),
    resource_type("type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name"),
    resource_type("type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration", "name"),
    resource_type("type.googleapis.com/envoy.config.route.v3.VirtualHost", "name"),
];

const fn resource_type(type_url: &'static str, name_field: &'static str) -> ResourceType {
    ResourceType { type_url, name_field }
}

pub(super) const PREFIX: &str = "type.googleapis.com/";

pub(super) fn resource(descriptor: &MessageDescriptor) -> Result<&'static ResourceType, Problem> {
    let is_of =
        |resource: &&ResourceType| resource.type_url.strip_prefix(PREFIX) == Some(descriptor.full_name());
    RESOURCES.iter().find(is_of).ok_or_else(|| Problem::NoResource(descriptor.full_name().to_owned()))
}

impl ResourceType {
    pub(super) fn name_of(&self, message: &DynamicMessage) -> String {
        let name = message.get_field_by_name(self.name_field);
        name.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// A message, as a text is to name it.
#[derive(Clone)]
pub(super) struct Form {
    /// Its form in v2, if the text is to write it so.
    pub(super) old: Option<MessageDescriptor>,
    pub(super) new: MessageDescriptor,
}

impl Form {
    /// The form in which the text has it.
    pub(super) fn written(&self) -> &MessageDescriptor {
        self.old.as_ref().unwrap_or(&self.new)
    }
}

/// The message of a type URL, in either API.
pub(super) fn named(type_url: &str) -> Result<Form, Problem> {
    let name = match type_url.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => name,
        _ => return Err(Problem::TypeWithoutPrefix(shown(type_url))),
    };
    if let Some(advice) = upgrade::refused::extension(name) {
        return Err(Problem::Removed(advice.to_owned()));
    }
    // Some messages of v2 are among those of v3 too, where nothing refers to them.
    let old = descriptors::v2().get_message_by_name(name);
    match (old, successor(name), descriptors::v3().get_message_by_name(name)) {
        (Some(old), Some(new), _) => Ok(Form { old: Some(old), new: new.clone() }),
        (_, _, Some(new)) => Ok(Form { old: None, new }),
        (Some(_), None, None) => Err(Problem::Removed(format!("its v3 API has nothing like {name}"))),
        (None, _, None) => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> Problem {
    Problem::UnknownType { name: shown(name), nearest: nearest(name) }
}

/// A slip in the name of the message or in that of its package, not in both: packages have long names, to which too much
/// is near.
fn nearest(name: &str) -> Option<String> {
    let (package, name) = name.rsplit_once('.')?;
    let pools = [descriptors::v3(), descriptors::v2()];
    let known: Vec<_> = pools.iter().flat_map(|pool| pool.all_messages()).collect();
    let split = || known.iter().filter_map(|message| message.full_name().rsplit_once('.'));
    let names = split().filter(|(of, _)| *of == package).map(|(_, name)| name);
    if let Some(name) = model::nearest(name, names) {
        return Some(format!("{package}.{name}"));
    }
    let packages = split().filter(|(_, known)| *known == name).map(|(package, _)| package);
    model::nearest(package, packages).map(|package| format!("{package}.{name}"))
}

/// The message of v3 that took the place of one of v2.
pub(super) fn successor(old: &str) -> Option<&'static MessageDescriptor> {
    SUCCESSORS.get(old)
}

/// The messages of v3 by the name of the message of v2 that they succeed.
static SUCCESSORS: LazyLock<HashMap<String, MessageDescriptor>> = LazyLock::new(|| {
    let v3 = descriptors::v3();
    let annotation = v3.get_extension_by_name("udpa.annotations.versioning");
    let annotation = annotation.expect("the descriptors have the annotations of versions");
    let mut successors = HashMap::new();
    for message in v3.all_messages() {
        let options = message.options();
        let versioning = options.get_extension(&annotation);
        let previous = versioning.as_message().and_then(|it| it.get_field_by_name("previous_message_type"));
        if let Some(previous) = previous.as_deref().and_then(Value::as_str).filter(|name| !name.is_empty()) {
            successors.insert(corrected(previous).to_owned(), message);
        }
    }
    successors
});

/// One annotation has a slip: it names a message that never was.
fn corrected(previous: &str) -> &str {
    match previous {
        "envoy.config.filter.http.ext_authz.v3.ExtAuthz" => "envoy.config.filter.http.ext_authz.v2.ExtAuthz",
        _ => previous,
    }
}
