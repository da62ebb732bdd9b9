//! The pieces that the world is cut into: who read a piece is planned again when it changes, and nobody else.

use std::{fmt, sync::Arc};

use model::ProxyId;

/// A piece of the world with a content of its own. A piece without content is a piece too: who read that a service has no
/// endpoints hears of its first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The Mesh's own settings, and whether it is there.
    Mesh(Arc<str>),
    /// One Dataplane, and whether it is there.
    Dataplane(ProxyId),
    /// The inbounds of a mesh that carry this `service`.
    Endpoints { mesh: Arc<str>, service: Arc<str> },
    /// The TrafficRoutes of a mesh with a source selector for this `service`; `*` is those for any.
    Routes { mesh: Arc<str>, source_service: Arc<str> },
    /// The TrafficPermissions of a mesh with a destination selector for this `service`; `*` is those for any.
    Permissions { mesh: Arc<str>, destination_service: Arc<str> },
    /// The TrafficLogs of a mesh with a source selector for this `service`; `*` is those for any.
    Logs { mesh: Arc<str>, source_service: Arc<str> },
    /// The ProxyTemplates of a mesh with a selector for this `service`; `*` is those without one.
    Templates { mesh: Arc<str>, service: Arc<str> },
}

/// `Endpoints default/backend`, for logs and inspection.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mesh(mesh) => write!(f, "Mesh {mesh}"),
            Self::Dataplane(proxy) => write!(f, "{}", proxy.dataplane()),
            Self::Endpoints { mesh, service } => write!(f, "Endpoints {mesh}/{service}"),
            Self::Routes { mesh, source_service } => write!(f, "Routes {mesh}/{source_service}"),
            Self::Permissions { mesh, destination_service } => {
                write!(f, "Permissions {mesh}/{destination_service}")
            }
            Self::Logs { mesh, source_service } => write!(f, "Logs {mesh}/{source_service}"),
            Self::Templates { mesh, service } => write!(f, "Templates {mesh}/{service}"),
        }
    }
}
