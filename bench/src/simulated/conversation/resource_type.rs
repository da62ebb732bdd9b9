//! The resource types of a mesh.

/// In the order in which an Envoy that comes back names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceType {
    Cluster,
    Endpoint,
    /// Of a mesh with mutual TLS alone.
    Secret,
    Listener,
    Extension,
}

/// How what is wanted of a type, and what no longer is, is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subscription {
    /// Everything is asked for by naming nothing.
    Wildcard,
    /// All names at once.
    NamesTogether,
    /// A message a name; all names in one only when a stream begins.
    NameByName,
}

impl ResourceType {
    pub(crate) const ALL: [Self; 5] =
        [Self::Cluster, Self::Endpoint, Self::Secret, Self::Listener, Self::Extension];

    pub(crate) const fn url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Extension => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    pub(crate) fn from_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.url() == url)
    }

    pub(super) const fn subscription(self) -> Subscription {
        match self {
            Self::Cluster | Self::Listener => Subscription::Wildcard,
            Self::Endpoint => Subscription::NamesTogether,
            Self::Secret | Self::Extension => Subscription::NameByName,
        }
    }
}
