//! What each proxy should do, decided from what users wrote.
//!
//! In flow resources, as changes; [`World::apply`] keeps them cut into [`Part`]s and says which parts changed. Out flows,
//! for one proxy, a [`ProxyPlan`] with the parts that it was read from ([`plan()`]), and that plan in Envoy's words
//! ([`envoy`]): named resources with content versions, encoded on demand.
//!
//! Pure and total: no I/O, clock, randomness, environment or hash-map order, and `plan` never fails and never waits. The
//! same world always gives the same plan, the same versions, on every instance and after every restart. The crate knows
//! nothing of stores, streams or HTTP, and insights never enter it, or every ACK would cause the next push.

mod part;
mod world;

mod mesh_view;

mod dataplane_view;
mod endpoints;
mod policy_index;
mod template_view;

mod canonical;

mod announced;

mod proxy_plan;

mod draft;
mod reader;

mod access;
mod catch_all;
mod inbounds;
mod logs;
mod mtls;
mod outbounds;
mod routes;

mod templates;

mod warnings;

pub mod envoy;

pub mod bootstrap;

mod check;
pub mod raw;

mod descriptors;

pub use access::{Access, AccessMode, PermittedSources};
pub use announced::Announced;
pub use check::check;
pub use endpoints::{Endpoint, EndpointSet};
pub use logs::{ConnectionLog, LogDestination, Unlogged, UnloggedBecause};
pub use mtls::{Mtls, MtlsMode, UpstreamTls};
pub use part::Part;
pub use proxy_plan::{
    Binding, CatchAll, Cluster, Direction, Forwarding, Inbound, Listener, Outbound, Outcome, Planned,
    ProxyPlan, Skipped, SkippedBecause, WeightedCluster, plan,
};
pub use template_view::{NotGiven, NotGivenBecause, TemplateResource};
pub use templates::{AppliedTemplate, template_of};
pub use warnings::template_warnings;
pub use world::{Change, World};
