//! What a ProxyTemplate adds to what is made for a proxy, or puts in its place.

use std::collections::BTreeMap;

use crate::{AppliedTemplate, Listener};

use super::{IDENTITY_CERTIFICATE, MESH_CA, Part, Resource, rbac, tls_inspection, type_urls};

/// Who may be given a resource of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenTo {
    Proxies,
    /// No stream serves its type.
    Nobody,
    /// The secrets by which proxies know each other.
    ProxiesByTheMesh,
}

pub(crate) fn given_to(type_url: &str, name: &str) -> GivenTo {
    match type_url {
        type_urls::SECRET if [IDENTITY_CERTIFICATE, MESH_CA].contains(&name) => GivenTo::ProxiesByTheMesh,
        _ if type_urls::ALL.contains(&type_url) => GivenTo::Proxies,
        _ => GivenTo::Nobody,
    }
}

pub(crate) fn is_load_assignment(type_url: &str) -> bool {
    type_url == type_urls::LOAD_ASSIGNMENT
}

pub(crate) fn is_cluster(type_url: &str) -> bool {
    type_url == type_urls::CLUSTER
}

/// Whether this is what says who may connect to a listener: itself, or one of its filters.
pub(crate) fn guards(listener: &Listener, type_url: &str, name: &str) -> bool {
    match type_url {
        type_urls::LISTENER => name == listener.name,
        type_urls::EXTENSION => {
            [rbac::name(&listener.name), tls_inspection::NAME.to_owned()].contains(&name.to_owned())
        }
        _ => false,
    }
}

/// Of two with one type and name the later one counts: the template's after all others (Kuma 0.3.0). In the order of
/// [`super::resources`].
pub(super) fn applied(
    template: &AppliedTemplate,
    generated: impl Iterator<Item = Resource>,
) -> Vec<Resource> {
    let of_template = template.resources.iter().map(|it| Resource::new(&it.name, Part::Template(it.clone())));
    let place = |type_url: &str| type_urls::ALL.iter().position(|it| *it == type_url);
    let named = |it: Resource| ((place(it.type_url), it.name.clone()), it);
    let is_asked_for =
        |it: &Resource| it.type_url != type_urls::LOAD_ASSIGNMENT || template.asks_for_endpoints(&it.name);
    let resources: BTreeMap<_, _> = generated.filter(is_asked_for).chain(of_template).map(named).collect();
    resources.into_values().collect()
}
