//! The decision for one proxy: where it listens, where connections go, and who decided it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    num::NonZeroU16,
};

use model::{Mesh, ProxyId, Tags};
use serde::Serialize;

use crate::{
    Access, Announced, AppliedTemplate, ConnectionLog, EndpointSet, Mtls, Part, Unlogged, UpstreamTls, World,
    catch_all, dataplane_view::DataplaneView, draft::Draft, inbounds, mesh_view::Entity, outbounds,
    reader::Reader, templates,
};

/// All that one proxy should do. Serializes to what `inspect` shows, always the same for the same world.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyPlan {
    /// There when the mesh has mTLS, if only for those who come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Mtls>,
    /// The FIFO from which kuma-dp reads what Envoy logs. Without one refusals are not logged, and connections to files alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log_pipe: Option<String>,
    /// The ProxyTemplate that the proxy has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<AppliedTemplate>,
    /// There when the Dataplane asks for transparent proxying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_all: Option<CatchAll>,
    /// In the order of the Dataplane.
    pub inbounds: Vec<Inbound>,
    /// In the order of the Dataplane.
    pub outbounds: Vec<Outbound>,
    /// By name. Who asks for a name that is taken shares what is there.
    pub clusters: BTreeMap<String, Cluster>,
    /// The endpoints of each [`Cluster::Service`], by the name of the cluster. Apart from the clusters, because they
    /// come and go without them.
    pub endpoints: BTreeMap<String, EndpointSet>,
    /// What the Dataplane asks for and does not get.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

/// Where connections that no other listener takes go on to the address that they were meant for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CatchAll {
    pub listener: Listener,
    pub forwarding: Forwarding,
}

/// Connections of other proxies to the workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inbound {
    /// `None` is an inbound without the tag.
    pub service: Option<String>,
    pub listener: Listener,
    pub forwarding: Forwarding,
    /// Who may connect; `None`: anybody, in plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
}

/// Connections of the workload to a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outbound {
    pub service: String,
    /// The TrafficRoute that decides. `None` is the implicit one: everything goes to the service itself.
    pub route: Option<String>,
    pub listener: Listener,
    pub forwarding: Forwarding,
    /// By the name of the backend, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<ConnectionLog>,
    /// By the name of the TrafficLog.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unlogged: Vec<Unlogged>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    pub name: String,
    pub address: SocketAddr,
    pub direction: Direction,
    pub binding: Binding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    Inbound,
    Outbound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Binding {
    /// Binds its address.
    Bound,
    /// Binds nothing: the catch-all listener hands on to it what was meant for its address.
    Unbound,
    /// Binds its address, and hands on what was meant for that of an unbound listener.
    CatchAll,
}

/// What becomes of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forwarding {
    /// What it is counted under: the service, or the workload's cluster.
    pub stat_prefix: String,
    /// Never empty, no weight is 0.
    pub clusters: Vec<WeightedCluster>,
}

impl Forwarding {
    /// Everything to one cluster, counted under its name.
    pub(crate) fn to(cluster: String) -> Self {
        Self { stat_prefix: cluster.clone(), clusters: vec![WeightedCluster { cluster, weight: 100 }] }
    }
}

/// Of all weights of a [`Forwarding`], this part goes to this cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WeightedCluster {
    pub cluster: String,
    pub weight: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Cluster {
    /// The workload, on 127.0.0.1.
    Workload { port: NonZeroU16 },
    /// The endpoints of a service that have some further tags.
    Service {
        service: String,
        tags: Tags,
        #[serde(skip_serializing_if = "Option::is_none")]
        tls: Option<UpstreamTls>,
    },
    /// Has no endpoints and never gets any: connections are closed at once.
    Blackhole,
    /// Wherever a connection was going before it was redirected.
    OriginalDestination,
}

/// An interface of the Dataplane that gets no listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// Its path in the Dataplane: `networking.outbound[1].interface`.
    pub field: String,
    pub because: SkippedBecause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SkippedBecause {
    /// It is not of the form that an interface has.
    BadInterface,
    /// An interface before it has the same address, and a proxy can listen there only once.
    AddressTaken,
    /// An outbound names no service.
    NoService,
    /// It would demand TLS, and the proxy has no certificate, because no inbound names a service.
    NoCertificate,
}

/// What is to be done about a proxy.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one is made for one planning and taken apart at once")]
pub enum Outcome {
    Plan(ProxyPlan),
    /// Its Dataplane, or its Mesh, was deleted: it gets an empty configuration, once.
    Deleted,
    /// Its Dataplane is not there, and nobody deleted it (a restored backup, a race): nothing is sent.
    Unknown,
    /// There is no such mesh, and nobody deleted it.
    NoMesh,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub outcome: Outcome,
    /// Everything that the outcome depends on, sorted, each once.
    pub reads: Vec<Part>,
}

/// Decides what a proxy should do. Total: every world has an outcome for every proxy.
pub fn plan(world: &World, proxy: &ProxyId, announced: &Announced) -> Planned {
    let mut reads = BTreeSet::from([Part::Mesh(proxy.mesh.clone()), Part::Dataplane(proxy.clone())]);
    let outcome = decide(world, proxy, announced, &mut reads);
    Planned { outcome, reads: reads.into_iter().collect() }
}

fn decide(world: &World, proxy: &ProxyId, announced: &Announced, reads: &mut BTreeSet<Part>) -> Outcome {
    let Some(view) = world.mesh(&proxy.mesh) else { return Outcome::NoMesh };
    match (view.settings(), view.dataplane(&proxy.name)) {
        (Entity::Deleted, _) | (_, Entity::Deleted) => Outcome::Deleted,
        (Entity::Unknown, _) => Outcome::NoMesh,
        (Entity::Present(_), Entity::Unknown) => Outcome::Unknown,
        (Entity::Present(mesh), Entity::Present(dataplane)) => {
            let mut reader = Reader::new(&proxy.mesh, view, reads);
            let mtls = Mtls::new(&proxy.mesh, mesh, dataplane);
            let access_log_pipe = announced.access_log_pipe.clone();
            let draft = Draft::new(ProxyPlan { mtls, access_log_pipe, ..ProxyPlan::default() });
            Outcome::Plan(plan_dataplane(mesh, announced, dataplane, &mut reader, draft))
        }
    }
}

/// In the order in which names and addresses are given away: the proxy's own, the workload's, then the services'.
fn plan_dataplane<'a>(
    mesh: &'a Mesh,
    announced: &'a Announced,
    dataplane: &'a DataplaneView,
    reader: &mut Reader<'a>,
    mut draft: Draft,
) -> ProxyPlan {
    let template = templates::plan(dataplane, reader);
    if template.as_ref().is_none_or(|template| template.imports_default_profile) {
        catch_all::plan(dataplane, &mut draft);
        inbounds::plan(dataplane, reader, &mut draft);
        outbounds::plan(mesh, announced, dataplane, reader, &mut draft);
    }
    ProxyPlan { template, ..draft.into_plan() }
}
