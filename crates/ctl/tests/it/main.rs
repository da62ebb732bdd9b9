//! `kumactl` as its users run it: the real program, against an API whose answers the test gives.

mod fake_api;
mod program;

mod apply;
mod config;
mod inspect_dataplane;
mod mesh_cas;
mod read;
mod token;
mod token_validity;
mod transparent_proxy;
mod usage;
