//! The crate through its public surface: plans, versions, and what changes touch.

mod cases;
mod diff;
mod fixture;
mod incremental;
mod parts;
mod reads;
mod versions;
