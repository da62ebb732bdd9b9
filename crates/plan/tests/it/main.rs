//! The crate through its public surface: plans, versions, and what changes touch.

mod bootstraps;
mod cases;
mod incremental;
mod mtls;
mod parts;
mod raw;
mod raw_judgement;
mod raw_robustness;
mod reads;
mod secrets;
mod versions;

mod diff;
mod fixture;
mod golden;
