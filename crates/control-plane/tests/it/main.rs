//! The control plane from the inside: what a change in the store makes the streams do.

mod plans;
mod restart;
mod world;
