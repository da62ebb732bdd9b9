//! What users of the crate rely on, through its public surface.

mod authority;
mod handshake;
mod mesh_cas;
mod token_ids;
mod tokens;
mod workload;
