//! Named, versioned, encoded resources, and the set of them that one client should have.
//!
//! A resource is encoded when it is made and never again, however many clients want it. A snapshot is immutable, small
//! (a sorted slice a type, of pointers to shared resources) and compared by pointer first, by version second: content
//! is never looked at.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;

use crate::encoding;

/// The resource types of the aggregated stream, in make-before-break order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub enum ResourceType {
    Cluster,
    Endpoint,
    Secret,
    Listener,
    /// Extension configurations (ECDS).
    Extension,
    Route,
}

/// One resource, encoded once and shared by every stream that needs it.
pub struct Resource {
    pub resource_type: ResourceType,
    pub name: Arc<str>,
    /// Equal versions of one type and name mean equal content.
    pub version: Arc<str>,
    /// The `DeltaDiscoveryResponse.resources` field with tag and length, as it goes on the wire.
    pub(crate) chunk: Bytes,
    /// Where in it the `DiscoveryResponse.resources` field begins, that of the state-of-the-world protocol.
    any_at: usize,
    travels_alone: bool,
    /// Of a cluster: where other than under its own name its endpoints are asked for.
    endpoints_name: Option<Arc<str>>,
}

/// All that one client should have as of now. Immutable; compared by versions.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Sorted by name, each name once; indexed by type.
    by_type: [Box<[Arc<Resource>]>; ResourceType::COUNT],
}

/// The version of the endpoints of a cluster that nobody knows: that there are none.
pub const NO_ENDPOINTS: &str = "none";

impl ResourceType {
    pub const ALL: [Self; Self::COUNT] =
        [Self::Cluster, Self::Endpoint, Self::Secret, Self::Listener, Self::Extension, Self::Route];

    pub(crate) const COUNT: usize = 6;

    pub fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Extension => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }

    pub fn from_type_url(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.type_url() == type_url)
    }

    /// Whether a client that names nothing asks for everything (xDS protocol, "How the client specifies what resources
    /// to return").
    pub(crate) fn has_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl Resource {
    /// `message` is the encoded protobuf message of that type.
    pub fn new(resource_type: ResourceType, name: Arc<str>, version: Arc<str>, message: &[u8]) -> Self {
        let (chunk, any_at) = encoding::resource(&name, &version, resource_type.type_url(), message);
        Self { resource_type, name, version, chunk, any_at, travels_alone: false, endpoints_name: None }
    }

    /// For what is not of our making, so that only the client can say whether it is any good: it shares no response with
    /// anything else. A refusal then names it alone, and the rest is taken. Envoy applies the good resources of a
    /// response that it refuses, but does not say that it has them when it comes back, so that in bad company they could
    /// not be taken from it again.
    ///
    /// Clusters and listeners of the state-of-the-world protocol are always said as the whole set, and travel together.
    #[must_use]
    pub fn travelling_alone(self) -> Self {
        Self { travels_alone: true, ..self }
    }

    /// Of a cluster that asks for its endpoints under another name than its own (`eds_cluster_config.service_name`). That
    /// is how a session knows, without decoding anything, whose endpoints have to follow a cluster.
    #[must_use]
    pub fn with_endpoints_named(self, name: Arc<str>) -> Self {
        Self { endpoints_name: Some(name), ..self }
    }

    /// See [`Self::travelling_alone`].
    pub fn travels_alone(&self) -> bool {
        self.travels_alone
    }

    /// Of a cluster: the name under which its endpoints are asked for, if they are.
    pub fn endpoints_name(&self) -> &Arc<str> {
        self.endpoints_name.as_ref().unwrap_or(&self.name)
    }

    /// The part of the chunk that is the resource in the state-of-the-world protocol.
    pub(crate) fn any(&self) -> Bytes {
        self.chunk.slice(self.any_at..)
    }

    /// What a client is told that asks for the endpoints of a cluster that nobody knows: there are none. Silence would
    /// leave its cluster warming (envoy#9934, #36951).
    pub(crate) fn without_endpoints(name: Arc<str>) -> Self {
        let message = encoding::cluster_load_assignment(&name);
        Self::new(ResourceType::Endpoint, name, Arc::from(NO_ENDPOINTS), &message)
    }

    /// Length on the wire.
    pub fn encoded_bytes(&self) -> usize {
        self.chunk.len()
    }
}

/// Without the content, which may be a private key.
impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("resource_type", &self.resource_type)
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Sorted by name.
    pub fn of_type(&self, resource_type: ResourceType) -> &[Arc<Resource>] {
        &self.by_type[resource_type.index()]
    }

    pub fn get(&self, resource_type: ResourceType, name: &str) -> Option<&Arc<Resource>> {
        let resources = self.of_type(resource_type);
        let at = resources.binary_search_by(|it| it.name.as_ref().cmp(name)).ok()?;
        resources.get(at)
    }

    /// The names of the resources of a type that are in only one of the two snapshots, or in both with other versions.
    pub fn differences(&self, other: &Self, resource_type: ResourceType) -> Vec<Arc<str>> {
        let (mut ours, mut theirs) = (self.of_type(resource_type), other.of_type(resource_type));
        let mut names = Vec::new();
        loop {
            match (ours, theirs) {
                ([a, rest_a @ ..], [b, rest_b @ ..]) if a.name == b.name => {
                    if !Arc::ptr_eq(a, b) && a.version != b.version {
                        names.push(b.name.clone());
                    }
                    (ours, theirs) = (rest_a, rest_b);
                }
                ([a, rest @ ..], [b, ..]) if a.name < b.name => {
                    names.push(a.name.clone());
                    ours = rest;
                }
                ([_, ..] | [], [b, rest @ ..]) => {
                    names.push(b.name.clone());
                    theirs = rest;
                }
                ([a, rest @ ..], []) => {
                    names.push(a.name.clone());
                    ours = rest;
                }
                ([], []) => return names,
            }
        }
    }
}

/// Of two resources with one type and name, the later one counts.
impl FromIterator<Arc<Resource>> for Snapshot {
    fn from_iter<I: IntoIterator<Item = Arc<Resource>>>(resources: I) -> Self {
        let mut by_type: [BTreeMap<Arc<str>, Arc<Resource>>; ResourceType::COUNT] = Default::default();
        for resource in resources {
            by_type[resource.resource_type.index()].insert(resource.name.clone(), resource);
        }
        Self { by_type: by_type.map(|resources| resources.into_values().collect()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(clusters: &[(&str, &str)]) -> Snapshot {
        clusters
            .iter()
            .map(|(name, version)| {
                Arc::new(Resource::new(ResourceType::Cluster, Arc::from(*name), Arc::from(*version), b""))
            })
            .collect()
    }

    #[test]
    fn the_order_of_types_is_their_index() {
        for (at, resource_type) in ResourceType::ALL.into_iter().enumerate() {
            assert_eq!(resource_type.index(), at);
            assert_eq!(ResourceType::from_type_url(resource_type.type_url()), Some(resource_type));
        }
    }

    #[test]
    fn differences_are_names_in_one_only_or_with_other_versions() {
        let check = |old: &[(&str, &str)], new: &[(&str, &str)], expected: &[&str]| {
            let names = snapshot(old).differences(&snapshot(new), ResourceType::Cluster);
            assert_eq!(
                names.iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
                expected,
                "{old:?} -> {new:?}"
            );
        };
        check(&[], &[], &[]);
        check(&[], &[("a", "1"), ("b", "1")], &["a", "b"]);
        check(&[("a", "1"), ("b", "1")], &[], &["a", "b"]);
        check(&[("a", "1"), ("b", "1")], &[("a", "1"), ("b", "1")], &[]);
        check(&[("a", "1"), ("b", "1"), ("d", "1")], &[("b", "2"), ("c", "1"), ("d", "1")], &["a", "b", "c"]);
        check(&[("b", "1")], &[("a", "1"), ("c", "1")], &["a", "b", "c"]);
    }

    #[test]
    fn debug_output_holds_no_content() {
        let secret = Resource::new(ResourceType::Secret, Arc::from("identity"), Arc::from("1"), b"PRIVATE");
        assert!(!format!("{secret:?}").contains("PRIVATE"));
        let snapshot: Snapshot = [Arc::new(secret)].into_iter().collect();
        assert!(!format!("{snapshot:?}").contains("PRIVATE"));
        assert!(snapshot.get(ResourceType::Secret, "identity").is_some());
    }
}
