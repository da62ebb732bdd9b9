//! The API over real HTTP, on the memory store.

mod audit;
mod client;
mod connections;
mod conversations;
mod faults;
mod openapi;
mod origins;
mod overviews;
mod server;
mod tokens;
mod watch;
