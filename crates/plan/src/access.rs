//! Who may call an inbound over TLS: the TrafficPermissions that have it among their destinations, all together (Kuma 0.3.0).

use std::collections::{BTreeMap, BTreeSet};

use model::{ANY_VALUE, SERVICE_TAG, Selector, Tags, TrafficPermission};
use serde::Serialize;

use crate::{Mtls, MtlsMode, reader::Reader};

/// Who may connect to an inbound in a mesh with mTLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    pub mode: AccessMode,
    /// Whose CAs are trusted, and whose identities count.
    pub mesh: String,
    /// Whom each TrafficPermission lets in, by its name. All of them count; nobody else may come.
    pub permissions: BTreeMap<String, PermittedSources>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AccessMode {
    /// Plain connections come in as well, and everybody of the mesh over TLS: to refuse by permission only those who prove
    /// who they are would make them worse off than all others.
    Permissive,
    /// By permission, over TLS, and in no other way.
    Strict,
}

/// Services whose dataplanes may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PermittedSources {
    /// Every service of the mesh.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any: bool,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub services: BTreeSet<String>,
}

impl Access {
    pub(crate) fn new(mtls: &Mtls, inbound: &Tags, reader: &mut Reader<'_>) -> Self {
        let mode = match mtls.mode {
            MtlsMode::Accepted | MtlsMode::Used => AccessMode::Permissive,
            MtlsMode::Demanded => AccessMode::Strict,
        };
        Self { mode, mesh: mtls.mesh.clone(), permissions: permissions(inbound, reader) }
    }

    /// Whom all permissions together let in.
    pub fn sources(&self) -> PermittedSources {
        union(self.permissions.values())
    }
}

impl PermittedSources {
    fn of(permission: &TrafficPermission) -> Self {
        let mut sources = Self::default();
        for source in permission.sources() {
            match only_service(source) {
                Some(ANY_VALUE) => sources.any = true,
                Some(service) => drop(sources.services.insert(service.to_owned())),
                None => {}
            }
        }
        sources
    }

    pub(crate) fn have(&self, service: &str) -> bool {
        self.any || self.services.contains(service)
    }
}

/// Whom permissions let call a service, whatever other tags its inbound has.
pub(crate) fn sources_of_service(service: &str, reader: &mut Reader<'_>) -> PermittedSources {
    let inbound = Tags::from([(SERVICE_TAG.to_owned(), service.to_owned())]);
    union(permissions(&inbound, reader).values())
}

fn permissions(inbound: &Tags, reader: &mut Reader<'_>) -> BTreeMap<String, PermittedSources> {
    let service = inbound.get(SERVICE_TAG).map(String::as_str);
    let mut permissions = BTreeMap::new();
    for destination in service.into_iter().chain([ANY_VALUE]) {
        for (name, permission) in reader.permissions_to(destination) {
            if permission.destinations().iter().any(|selector| selector.matches(inbound)) {
                permissions.insert(name.to_owned(), PermittedSources::of(permission));
            }
        }
    }
    permissions
}

fn union<'a>(all: impl Iterator<Item = &'a PermittedSources>) -> PermittedSources {
    all.fold(PermittedSources::default(), |mut union, sources| {
        union.any |= sources.any;
        union.services.extend(sources.services.iter().cloned());
        union
    })
}

/// The service of a source. A certificate proves nothing but services, so a selector that wants more lets nobody in, as one
/// that wants nothing does; neither can be written (TrafficPermission's validation).
fn only_service(source: &Selector) -> Option<&str> {
    let tags = source.tags();
    if tags.len() == 1 { tags.get(SERVICE_TAG).map(String::as_str) } else { None }
}
