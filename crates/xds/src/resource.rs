//! Named, versioned, encoded resources, and the set of them that one client should have.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

/// The resource types of the aggregated stream, in make-before-break order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Debug)]
pub struct Resource {
    pub resource_type: ResourceType,
    pub name: Arc<str>,
    /// Equal versions of one type and name mean equal content.
    pub version: Arc<str>,
    /// The `DeltaDiscoveryResponse.resources` field with tag and length, as it goes on the wire.
    pub(crate) chunk: Bytes,
}

/// All that one client should have as of now. Immutable; compared by versions.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) by_type: BTreeMap<ResourceType, BTreeMap<Arc<str>, Arc<Resource>>>,
}

impl ResourceType {
    pub const ALL: [Self; 6] =
        [Self::Cluster, Self::Endpoint, Self::Secret, Self::Listener, Self::Extension, Self::Route];

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
}

impl Resource {
    /// `message` is the encoded protobuf message of that type.
    pub fn new(resource_type: ResourceType, name: Arc<str>, version: Arc<str>, message: &[u8]) -> Self {
        let _ = message;
        Self { resource_type, name, version, chunk: Bytes::new() } // HELPER
    }
}

impl FromIterator<Arc<Resource>> for Snapshot {
    fn from_iter<I: IntoIterator<Item = Arc<Resource>>>(resources: I) -> Self {
        let mut by_type: BTreeMap<ResourceType, BTreeMap<Arc<str>, Arc<Resource>>> = BTreeMap::new();
        for resource in resources {
            by_type.entry(resource.resource_type).or_default().insert(resource.name.clone(), resource);
        }
        Self { by_type }
    }
}
