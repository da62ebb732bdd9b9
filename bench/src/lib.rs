//! What a control plane costs, measured from outside on a real `kuma-cp` of the same build.
//!
//! [`mesh`] (`make bench`) measures, with [`simulated`] proxies by the thousand, how a write spreads to them. [`http`]
//! (`make bench-http`) measures the HTTP API against nginx and etcd on the same machine in the same minutes. Both start
//! what they measure in a temporary folder on the loopback interface, are bounded in count and time, and end what they
//! have started.

pub mod http;
pub mod mesh;

pub mod process;
pub mod simulated;

mod statistics;
mod under_test;
