//! HELPER
pub struct EmbeddedStore;
