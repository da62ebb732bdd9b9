//! The table of kinds: each family of resources is declared once, here, and everything else is derived from it.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{Document, Tags, Violations, kinds, schema};

/// Whether a resource stands alone or lives in a mesh (and goes with it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Global,
    Mesh,
}

/// What every kind's spec can do. A new kind is one file in `kinds/` that implements this, and one line in the table.
pub trait Resource:
    for<'de> Deserialize<'de> + Serialize + Clone + PartialEq + Send + Sync + 'static
{
    /// Fills in what Kuma fills in on a write, so that it reads back. Once, before [`Resource::validate`].
    fn set_defaults(&mut self) {}

    /// Every violation of the spec, in the order of its fields, with Kuma 0.3.0's paths and messages.
    fn validate(&self) -> Violations;

    /// The sets of tags by which it can be found: those that it carries, or that its selectors name.
    fn tag_sets(&self) -> Vec<&Tags> {
        Vec::new()
    }

    /// What its JSON looks like, without `type`, `name` and `mesh`: a JSON Schema that names every field.
    fn schema() -> Value;

    /// A whole resource, as Kuma 0.3.0's documentation of its HTTP API writes it, with `type`, `name` and `mesh`: an example
    /// for readers, which is valid and reads back as it stands.
    fn example() -> Value;
}

macro_rules! kinds {
    ($($kind:ident($module:ident), $path:literal, other spellings $aliases:tt, $scope:ident;)+) => {
        /// A family of resources. Ordered as declared.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($kind),+ }

        impl Kind {
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The value of `type` in a resource.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind)),+ }
            }

            /// The collection's segment in a URL: `/meshes/{mesh}/{path}/{name}`.
            pub fn path(self) -> &'static str {
                match self { $(Self::$kind => $path),+ }
            }

            /// Other spellings of [`Kind::path`] that the documentation of Kuma 0.3.0 uses and that work as well.
            pub fn other_paths(self) -> &'static [&'static str] {
                match self { $(Self::$kind => &$aliases),+ }
            }

            pub fn scope(self) -> Scope {
                match self { $(Self::$kind => Scope::$scope),+ }
            }

            /// The JSON Schema (2020-12, as in OpenAPI 3.1) of a whole resource of this kind, as it is answered.
            pub fn schema(self) -> Value {
                let spec = match self { $(Self::$kind => kinds::$module::$kind::schema()),+ };
                schema::entity(self.name(), self.scope(), spec)
            }

            /// See [`Resource::example`].
            pub fn example(self) -> Value {
                match self { $(Self::$kind => kinds::$module::$kind::example()),+ }
            }

            /// Reads a whole resource of this kind: the envelope and, beside it, the spec's own fields.
            ///
            /// Unknown fields, wrong types and keys that are named twice are errors of `D`, which therefore carry
            /// its position.
            pub fn read_document<'de, D: Deserializer<'de>>(self, from: D) -> Result<Document, D::Error> {
                match self {
                    $(Self::$kind => Document::read::<kinds::$module::$kind, D>(from, Spec::$kind)),+
                }
            }

            /// Reads a spec alone, as it is stored: without `type`, `name` and `mesh`.
            pub fn read_spec<'de, D: Deserializer<'de>>(self, from: D) -> Result<Spec, D::Error> {
                match self {
                    $(Self::$kind => kinds::$module::$kind::deserialize(from).map(Spec::$kind)),+
                }
            }
        }

        /// Any resource, without its key. Serializes to its canonical proto3 JSON, without `type`, `name` and `mesh`.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Spec { $($kind(kinds::$module::$kind)),+ }

        impl Spec {
            pub fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind),+ }
            }

            /// See [`Resource::set_defaults`].
            pub fn set_defaults(&mut self) {
                match self { $(Self::$kind(it) => it.set_defaults()),+ }
            }

            /// See [`Resource::tag_sets`].
            pub fn tag_sets(&self) -> Vec<&Tags> {
                match self { $(Self::$kind(it) => it.tag_sets()),+ }
            }

            /// See [`Resource::validate`].
            pub fn validate(&self) -> Violations {
                match self { $(Self::$kind(it) => it.validate()),+ }
            }
        }
    };
}

kinds! {
    Mesh(mesh), "meshes", other spellings [], Global;
    Dataplane(dataplane), "dataplanes", other spellings [], Mesh;
    ProxyTemplate(proxy_template), "proxytemplates", other spellings [], Mesh;
    TrafficPermission(traffic_permission), "traffic-permissions", other spellings ["trafficpermissions"], Mesh;
    TrafficLog(traffic_log), "traffic-logs", other spellings ["trafficlogs"], Mesh;
    TrafficRoute(traffic_route), "traffic-routes", other spellings ["trafficroutes"], Mesh;
}

impl Kind {
    /// The kind whose `type` is `name`, compared exactly.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The kind of a collection's URL segment, in any of its spellings.
    pub fn from_path(segment: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.path() == segment || kind.other_paths().contains(&segment))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_kinds_share_a_name_or_a_path() {
        let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        let paths: Vec<_> =
            Kind::ALL.iter().flat_map(|kind| [&[kind.path()], kind.other_paths()].concat()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), paths.len());
        assert!(paths.iter().all(|path| Kind::from_path(path).is_some()));
    }
}
