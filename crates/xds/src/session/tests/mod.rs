//! The rules, one test each, as conversations; and thousands of random conversations.

mod alone;
mod answers;
mod endpoints;
mod order;
mod recorded;
mod refused_alone;
mod refused_sets;
mod rejections;
mod returning;
mod script;
mod simulated;
mod states;
