//! A mesh of simulated proxies against a real control plane: how long a write takes to reach all who need it, and what it
//! costs.
//!
//! `cargo run --release -p bench --bin bench-mesh -- --proxies 1000` starts `kuma-cp run` in a temporary folder, registers
//! a ring of services over HTTP, and opens one delta stream a dataplane over TLS, as Envoy does.
//!
//! With `--mtls` the proxies of the mesh call each other over mutual TLS: each is given a certificate of its own, and
//! permissions come and go, too.
//!
//! What it deliberately does not do: run Envoy. A simulated proxy speaks the protocol and moves no traffic, so thousands
//! of them fit beside the control plane that they measure. They share its cores: the figures are upper bounds.

mod options;
mod report;
mod run;
mod write;

pub use options::Options;
pub use run::run;
