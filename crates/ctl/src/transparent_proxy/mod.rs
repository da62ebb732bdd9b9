//! Transparent proxying on this machine: which of its TCP connections go through the proxy, as rules of iptables.
//!
//! [`rules`] decides, as text and without I/O, what the rules are and how a machine gets from those that it has to these;
//! [`iptables`] reads and writes those of the kernel; [`ports`] and [`user`] read what the command line says; [`listeners`]
//! looks whether the proxy is there.

pub(crate) mod iptables;
pub(crate) mod listeners;
pub(crate) mod ports;
pub(crate) mod rules;
pub(crate) mod user;
