//! What users of the crate rely on, through its public surface.

mod authority;
mod handshake;
mod token_ids;
mod tokens;
