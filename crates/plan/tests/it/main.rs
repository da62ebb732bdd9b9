//! The crate through its public surface: plans, versions, and what changes touch.

mod bootstraps;
mod cases;
mod incremental;
mod parts;
mod reads;
mod versions;

mod diff;
mod fixture;
mod golden;
