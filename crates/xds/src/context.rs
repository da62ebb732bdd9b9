//! What all connections of a server share: its bounds, its authority, and the phase of its life.

use std::time::Duration;

use tokio::sync::watch;

use crate::{admission::Admission, refusals::RefusalLog};

/// Bounds, all with a default that fits 10,000 proxies.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The largest request: a delta client that comes back reports every version it holds. Bytes.
    pub max_request_bytes: usize,
    /// For one more, the connection that has been without a stream for longest makes room; if there is none, it is closed at
    /// once. Envoy comes back after a while.
    pub max_connections: usize,
    /// For the TLS handshake, and again for a stream's first message.
    pub handshake_timeout: Duration,
    /// For a connection without a stream: an Envoy whose stream was ended opens the next one within 10 s
    /// (`retry_back_off.max_interval` of its bootstrap).
    pub idle_timeout: Duration,
    /// How long a connection without a stream is left alone although others need its place.
    pub undisturbed: Duration,
    /// For streams to end when the server does, or when they have to. What is left then is cut.
    pub shutdown_timeout: Duration,
}

/// What all connections of a server share.
pub(crate) struct Context<A> {
    pub(crate) settings: ServerSettings,
    pub(crate) authority: A,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) refusals: RefusalLog,
    pub(crate) admission: Admission,
}

/// The life of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// Streams end, nothing new begins.
    Draining,
    /// What has not ended is cut.
    Closed,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            // 100,000 names with their versions.
            max_request_bytes: 8 << 20,
            max_connections: 20_000,
            handshake_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_mins(1),
            // Longer than a loaded client and a loaded network take to go on.
            undisturbed: Duration::from_secs(2),
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// Ready once the server is in that phase, or is gone.
pub(crate) async fn reached(mut phases: watch::Receiver<Phase>, phase: Phase) {
    // An error means that nobody is there to end the phase in order.
    phases.wait_for(|it| *it >= phase).await.ok();
}
