//! The API over real HTTP, on the memory store.

mod audit;
mod client;
mod connections;
mod conversations;
mod exchange;
mod faults;
mod grammar;
mod inspections;
mod malformed;
mod mesh_cas;
mod openapi;
mod origins;
mod overviews;
mod random_requests;
mod server;
mod sizes;
mod slow_clients;
mod token_validity;
mod tokens;
mod watch;
mod writers;
