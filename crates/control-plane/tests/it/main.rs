//! The control plane from the inside: what a change in the store makes the streams do.

mod authority;
mod certificates;
mod insights;
mod inspections;
mod plans;
mod proxy;
mod restart;
mod rotation;
mod token_changes;
mod turns;
mod world;
