//! The HTTP API beside servers that are known to be fast: one entity and a list of a thousand against nginx, which serves
//! the very same bytes as files, and durable writes against etcd, which keeps the very same values.
//!
//! `cargo run --release -p bench --bin bench-http` starts all three on one machine and gives them the same load in turns,
//! round after round, so that whatever else the machine does hits all alike. What counts are the ratios of a round; a rate
//! alone says as much about the machine as about the server.
//!
//! What is equal: the machine, the file system, the number of clients, one keep-alive connection for each, a new request
//! as soon as the last one is answered, the bytes of an answer or a value, and for writes the promise that an answer
//! means "on disk". What each side keeps is its own best way in: HTTP/1.1 for kuma-cp and nginx, gRPC for etcd, whose
//! JSON gateway would cost it another hop. nginx and kuma-cp run as many workers as there are cores, etcd as Go decides.
//!
//! The clients share the cores with what they measure, and the ratios of fast requests are flattened by that: the
//! processor time of the server alone stands beside them.

mod options;
mod run;

mod entity;
mod scenario;

mod etcd;
mod http1;
mod kuma;
mod load;
mod nginx;

mod disk;
mod machine;

mod report;

pub use options::Options;
pub use run::run;
