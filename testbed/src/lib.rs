//! A real mesh on one machine: kuma-cp, kuma-dp with its Envoy, and the services behind them.
//!
//! The demo, the end-to-end tests and the benchmarks all stand on this. It promises that what it starts is ready when the call
//! returns (it waits for the event, never for time), that all output goes into files of the bed's folder, and that dropping
//! a thing ends what it started, by pid, and nothing else.

mod certificates;
mod child;
mod control_plane;
pub mod frames;
mod programs;
mod proxy;
mod secrets;
mod service;
mod tls;

pub use certificates::{Certified, Forger, self_signed};
pub use child::Child;
pub use control_plane::{ControlPlane, Settings, Settled};
pub use programs::Programs;
pub use proxy::{Launch, Proxy};
pub use secrets::Secrets;
pub use service::{Answer, Service, ask};
pub use tls::{TlsClient, TlsService, server_name};
