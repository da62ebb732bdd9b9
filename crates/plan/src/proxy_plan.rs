//! HELPER

use model::ProxyId;

use crate::{Part, World};

#[derive(Clone, Debug)]
pub struct ProxyPlan {}

/// What is to be done about a proxy.
#[derive(Clone, Debug)]
pub enum Outcome {
    Plan(ProxyPlan),
    /// Its Dataplane, or its Mesh, was deleted: it gets an empty configuration, once.
    Deleted,
    /// Its Dataplane is not there, and nobody deleted it (a restored backup, a race): nothing is sent.
    Unknown,
    /// There is no such mesh, and nobody deleted it.
    NoMesh,
}

#[derive(Clone, Debug)]
pub struct Planned {
    pub outcome: Outcome,
    /// Everything that the outcome depends on, sorted, each once.
    pub reads: Vec<Part>,
}

pub fn plan(world: &World, proxy: &ProxyId) -> Planned {
    let _ = (world, proxy);
    unimplemented!() // HELPER
}
