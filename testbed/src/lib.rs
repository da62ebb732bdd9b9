//! A real mesh on one machine: kuma-cp, kuma-dp with a real Envoy, and small services behind them, for the demo and the
//! end-to-end tests.
//!
//! Everything is started from the programs that were built ([`Programs`]), listens on loopback only, keeps its files and its
//! log in a folder of the caller's, and ends when its value is dropped: by its pid, and nothing else. What does not come up
//! is an error with the end of its log.
//!
//! Errors are [`anyhow::Error`]s: each is a sentence for the person who runs the demo or the test, and nobody tells them apart.

mod control_plane;
mod process;
mod programs;
mod proxy;
mod service;

pub use crate::control_plane::{ControlPlane, Settings};
pub use crate::process::Process;
pub use crate::programs::Programs;
pub use crate::proxy::Proxy;
pub use crate::service::{Answer, Service, ask};
