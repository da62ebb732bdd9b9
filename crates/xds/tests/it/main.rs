//! The server over real TLS and HTTP/2 on loopback, as a client sees it.

mod client;
mod connections;
mod fleet;
mod misbehaviour;
mod reconnect;
mod streams;
