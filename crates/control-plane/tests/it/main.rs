//! The control plane from the inside: what a change in the store makes the streams do.

mod authority;
mod insights;
mod inspections;
mod plans;
mod restart;
mod token_changes;
mod turns;
mod world;
