//! What users wrote: resources, their names, and whether they make sense.
//!
//! A request body or a database row comes in as JSON (or YAML, through any serde deserializer) and goes out as a
//! typed [`Spec`] with its [`Envelope`]; [`Spec::validate`] reports every [`Violation`] with the path of the field at
//! fault. The families of types are one table, [`Kind`]: API routes, storage keys, CLI commands and documents follow
//! from it.
//!
//! The crate promises to be pure: no I/O, clock, randomness or environment, and no order that depends on a hash map.
//! It deliberately knows nothing of HTTP, stores or streams, and of Envoy only the operators of its access logs
//! ([`log_format`]), because a format has to be judged when it is written.
//!
//! Behaviour is Kuma 0.3.0's proto3 JSON ([`wire`]) and its validators, except where docs/http-api.md says otherwise.

mod kind;
pub mod kinds;

mod entity;
mod envelope;
mod excerpt;
mod interface;
mod key;
pub mod log_format;
mod nearest;
mod quoted;
pub mod schema;
mod selector_rules;
mod spiffe;
mod tags;
mod timestamp;
mod violations;
pub mod wire;

pub use entity::print_entity;
pub use envelope::{Document, Envelope};
pub use excerpt::one_line;
pub use interface::{InboundInterface, OutboundInterface};
pub use key::{Key, MESH_AND_NAME_MAX_CHARS, ProxyId, ProxyIdError};
pub use kind::{Kind, Resource, Scope, Spec};
pub use kinds::dataplane::{Dataplane, Inbound, Outbound};
pub use kinds::dataplane_insight::{DataplaneInsight, DiscoveryStatus, DiscoverySubscription, ServiceStats};
pub use kinds::mesh::Mesh;
pub use kinds::proxy_template::{DEFAULT_PROFILE, ProxyTemplate, RawResource};
pub use kinds::traffic_log::TrafficLog;
pub use kinds::traffic_permission::TrafficPermission;
pub use kinds::traffic_route::TrafficRoute;
pub use nearest::nearest;
pub use spiffe::{spiffe_id, spiffe_prefix, spiffe_service};
pub use tags::{ANY_VALUE, Rank, SERVICE_TAG, Selector, Tags, matches};
pub use timestamp::Timestamp;
pub use violations::{Violation, Violations};
