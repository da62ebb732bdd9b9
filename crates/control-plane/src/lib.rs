//! kuma-cp: configuration and wiring. The only place where the store, the plan, the streams and the API meet.
//!
//! What a PUT sets in motion, file by file: the API commits to the store; [`follow`] hears the revision and brings the world
//! up to it; [`registry`] wakes the streams that read what changed; each [`feed`] plans and translates, sharing encodings
//! in [`contents`]; the xds crate talks to Envoy; [`record`] keeps what Envoy answered, and [`inspect`] tells whoever
//! asks what a proxy should have and has. [`run`] puts them together.
//!
//! A revoked token and a retired key come the same way, by a revision: [`token_keys`] has the keyring of the present, and
//! [`admissions`] ends the streams whose token it refuses.
//!
//! With mTLS a stream is also given [`certificates`], by the clock and not by a revision: [`mesh_cas`] has the CAs of each mesh,
//! [`workloads`] what they have signed for proxies, and [`rotation`] replaces a CA step by step, as far
//! as its [`holders`] are ready.
//!
//! The rules of what a proxy gets live in `plan`, those of the protocol in `xds`, those of the API in `api`: none here.

pub mod admissions;
pub mod authority;
pub mod certificates;
pub mod config;
pub mod contents;
mod default_mesh;
pub mod diagnostics;
pub mod feed;
pub mod follow;
pub mod holders;
pub mod inspect;
pub mod listen;
pub mod live_streams;
pub mod logging;
pub mod mesh_cas;
pub mod metrics;
pub mod record;
pub mod registry;
pub mod rotation;
pub mod run;
pub mod secrets;
mod supervise;
pub mod tls;
pub mod token_keys;
pub mod turns;
pub mod work_dir;
pub mod workloads;
