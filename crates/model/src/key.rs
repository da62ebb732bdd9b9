//! Names of things: a resource's [`Key`] and a proxy's [`ProxyId`].

use std::{fmt, str::FromStr, sync::Arc};

use crate::{Kind, Scope};

/// The longest mesh or resource name, in characters.
pub const MESH_AND_NAME_MAX_CHARS: usize = 253;

/// Where a resource is kept. A Mesh lies in itself: its `mesh` is its own name (as in Kuma 0.3.0), so that all that goes
/// with a mesh has that `mesh`.
///
/// Ordered by kind, then mesh, then name in byte order: the order of every list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: Kind,
    pub mesh: Arc<str>,
    pub name: Arc<str>,
}

impl Key {
    /// For a [`Scope::Global`] kind the mesh is ignored: the name stands in its place.
    pub fn new(kind: Kind, mesh: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        let mesh = match kind.scope() {
            Scope::Global => name.clone(),
            Scope::Mesh => mesh.into(),
        };
        Self { kind, mesh, name }
    }

    pub fn mesh(name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        Self { kind: Kind::Mesh, mesh: name.clone(), name }
    }
}

/// `Dataplane default/web-1`, `Mesh default`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.scope() {
            Scope::Global => write!(f, "{} {}", self.kind.name(), self.name),
            Scope::Mesh => write!(f, "{} {}/{}", self.kind.name(), self.mesh, self.name),
        }
    }
}

/// Which Dataplane a proxy is. Written `<mesh>.<name>`, which is Envoy's node id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyId {
    pub mesh: Arc<str>,
    pub name: Arc<str>,
}

/// Why a node id names no proxy. The texts are Kuma 0.3.0's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyIdError {
    NoMesh,
    NoDot,
    NoName,
}

impl ProxyId {
    pub fn new(mesh: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { mesh: mesh.into(), name: name.into() }
    }

    pub fn dataplane(&self) -> Key {
        Key { kind: Kind::Dataplane, mesh: self.mesh.clone(), name: self.name.clone() }
    }
}

impl fmt::Display for ProxyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.mesh, self.name)
    }
}

/// Splits at the first dot only. The third part of Kuma 0.3.0's `<mesh>.<name>.default` is accepted and dropped.
impl FromStr for ProxyId {
    type Err = ProxyIdError;

    fn from_str(node_id: &str) -> Result<Self, ProxyIdError> {
        let (mesh, name) = match node_id.split_once('.') {
            None if node_id.is_empty() => return Err(ProxyIdError::NoMesh),
            None => return Err(ProxyIdError::NoDot),
            Some((mesh, name)) => (mesh, name.strip_suffix(".default").unwrap_or(name)),
        };
        match (mesh.is_empty(), name.is_empty()) {
            (true, _) => Err(ProxyIdError::NoMesh),
            (_, true) => Err(ProxyIdError::NoName),
            _ => Ok(Self::new(mesh, name)),
        }
    }
}

impl fmt::Display for ProxyIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMesh => "mesh must not be empty",
            Self::NoDot => "the name should be provided after the dot",
            Self::NoName => "name must not be empty",
        })
    }
}

impl std::error::Error for ProxyIdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_is_read_in_both_forms() {
        for (id, expected) in [
            ("default.web-1", Ok(ProxyId::new("default", "web-1"))),
            ("default.web-1.default", Ok(ProxyId::new("default", "web-1"))),
            ("default.web.v1", Ok(ProxyId::new("default", "web.v1"))),
            ("", Err(ProxyIdError::NoMesh)),
            (".web", Err(ProxyIdError::NoMesh)),
            ("default", Err(ProxyIdError::NoDot)),
            ("default.", Err(ProxyIdError::NoName)),
        ] {
            assert_eq!(id.parse(), expected, "{id}");
        }
    }

    #[test]
    fn a_mesh_lies_in_itself() {
        assert_eq!(Key::new(Kind::Mesh, "ignored", "m"), Key::mesh("m"));
    }
}
