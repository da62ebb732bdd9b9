//! `kumactl`: reads and writes resources of a control plane through its HTTP API, and keeps the list of control planes.
//!
//! A command line comes in ([`Cli`]), text and files go out ([`run`]); in between are requests to one control plane.
//! Commands, flags, texts, exit statuses and the configuration file are those of Kuma 0.3.0's `kumactl`, except where
//! the documentation says otherwise. Which types of resources there are comes from [`model::Kind::ALL`]: a new kind is
//! listed, applied and deleted without a line here.
//!
//! - one file a command in `commands`, its flags and its help beside what it does;
//! - `configuration` (pure) and `config_file`: which control plane commands speak to;
//! - `client` over `http`: requests, and the forms in which they fail;
//! - `transparent_proxy`: rules of iptables, for the one command that is about this machine;
//! - `document` over `template` and `yaml`: what `apply` is given; `output` and `table`: what is shown.
//!
//! Clock, home folder and standard streams are arguments ([`Surroundings`]); only `main` asks the process for them. The
//! crate deliberately knows nothing of stores, plans or streams: whether a resource makes sense is for the control plane
//! to say.

mod cli;
mod commands;
mod surroundings;

mod config_file;
mod configuration;

mod client;
mod http;
mod token_server;

mod transparent_proxy;

mod document;
#[doc(hidden)]
pub mod fuzzing;
mod pairs;
mod template;
mod yaml;

mod age;
mod dataplane_tags;
mod duration;
mod names;
mod output;
mod table;

pub use cli::Cli;
pub use commands::{UsageError, run};
pub use surroundings::Surroundings;
