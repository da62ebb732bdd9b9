//! How much of the server one client may have. docs/http-api.md has the table for users.

use std::time::Duration;

/// How much of the server one client may have, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest body. Kuma 0.3.0 had no limit; no resource comes near this one.
    pub body_bytes: usize,
    /// For a whole body to arrive.
    pub body_read_timeout: Duration,
    /// The largest request head, line and headers together; 8 KiB at least.
    pub header_bytes: usize,
    /// For a whole request head to arrive, counted from the end of the answer before: so it is also how long an
    /// HTTP/1.1 connection may rest.
    pub header_read_timeout: Duration,
    /// How long a connection may last on which no byte moves.
    pub idle_timeout: Duration,
    /// How long a watch says nothing when there is nothing to say: then it sends a comment, before a proxy in between takes
    /// the connection for dead.
    pub watch_quiet: Duration,
    /// Connections at a time. For whoever comes when there are so many, the one that has rested longest ends; when none
    /// rests, the newcomer waits.
    pub connections: usize,
    /// Connections at a time from one address. For one beyond, the one of them that has rested longest ends; when none
    /// rests, the new one is closed at once.
    pub connections_per_peer: usize,
    /// How long the requests that are under way when the server stops may take.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 4 * 1024 * 1024,
            body_read_timeout: Duration::from_secs(30),
            header_bytes: 64 * 1024,
            header_read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(90),
            watch_quiet: Duration::from_secs(15),
            connections: 1024,
            connections_per_peer: 512,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}
