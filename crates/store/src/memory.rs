//! HELPER
pub struct MemoryStore;
