//! What each proxy should do, decided from what users wrote.
//!
//! In flow resources, as changes; [`World::apply`] keeps them cut into [`Part`]s and says which parts changed. Out flows,
//! for one proxy, a [`ProxyPlan`] with the parts that it was read from ([`plan()`]), and that plan in Envoy's words
//! ([`envoy`]): named resources with content versions, encoded on demand.
//!
//! Pure and total: no I/O, clock, randomness, environment or hash-map order, and `plan` never fails and never waits. The
//! same world always gives the same plan, the same versions, on every instance and after every restart. The crate knows
//! nothing of stores, streams or HTTP, and insights never enter it, or every ACK would cause the next push.

pub mod bootstrap;
pub mod envoy;

mod part;
mod proxy_plan;
mod world;

pub use part::Part;
pub use proxy_plan::{Outcome, Planned, ProxyPlan, plan};
pub use world::{Change, World};
