//! HELPER: split into envoy/mod.rs, clusters, listeners, ...

use std::sync::Arc;

use bytes::Bytes;

use crate::ProxyPlan;

/// Goes into every version: raised whenever the translation of an unchanged plan changes.
pub const FORMAT: u32 = 1;

/// One xDS resource that a proxy should have. Cheap to make: nothing is translated before [`Resource::encode`].
#[derive(Clone, Debug)]
pub struct Resource {
    /// `type.googleapis.com/envoy.config.cluster.v3.Cluster` and the like.
    pub type_url: &'static str,
    pub name: Arc<str>,
    /// 16 hex digits: of SHA-256 over its part of the plan in canonical form and [`FORMAT`], never of Envoy's bytes.
    pub version: Arc<str>,
    // private: what to translate
}

impl Resource {
    /// The protobuf message, encoded. Equal versions may encode differently (a protobuf map has no one order), so a
    /// caller keeps the first and shares it.
    pub fn encode(&self) -> Bytes {
        unimplemented!() // HELPER
    }
}

/// The plan in Envoy's words: each (type, name) once.
pub fn resources(plan: &ProxyPlan) -> Vec<Resource> {
    let _ = plan;
    unimplemented!() // HELPER
}
