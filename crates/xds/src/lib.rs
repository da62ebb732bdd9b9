//! Saying it to Envoy and hearing back: the xDS protocol (v3, aggregated; incremental and state of the world) over gRPC.
//!
//! A [`Session`] is one stream as a state machine without I/O: it is fed requests, snapshots and the time, and returns
//! what to send. [`Server`] is the shell around it: TLS connections, gRPC frames of our own under hyper's HTTP/2 server,
//! one task a stream. Who a client is and what it should have come from the two traits [`Authority`] and [`Subscriber`].
//!
//! The crate promises that whatever a peer sends ends at most that peer's stream, that one (type, content) is encoded
//! once however many streams want it, and that every conversation converges to the latest snapshot. It deliberately knows
//! no mesh word.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod admission;
mod authority;
mod connection;
mod context;
mod conversation;
mod encoding;
mod frames;
#[doc(hidden)]
pub mod fuzzing;
mod grpc_status;
mod open_streams;
mod refusals;
mod resource;
mod server;
mod session;
mod slots;
mod status;
mod stream;
mod wire;

pub use authority::{Authority, Node, Refusal, Subscriber};
pub use context::ServerSettings;
pub use resource::{NO_ENDPOINTS, Resource, ResourceType, Snapshot};
pub use server::{Server, listen};
pub use session::{
    Moment, Protocol, Request, ResourceReport, Response, Session, StateRequest, StreamReport, StreamView,
};
pub use status::{Counts, Rejection, SessionStatus};
