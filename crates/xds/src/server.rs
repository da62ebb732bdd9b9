//! The shell: who may open a stream, what bounds there are, and the loop that accepts connections.
//!
//! gRPC is spoken by hyper's HTTP/2 server and [`crate::frames`]. One connection is one task, one stream is another;
//! the stream's response body *is* the session, pulled by HTTP/2 flow control, so that nothing queues for a client that
//! does not read.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
};

use crate::{
    SessionStatus, Snapshot, StreamView, admission::Admission, connection, refusals::RefusalLog, slots::Slots,
};

/// Why a stream is not served, in the words of gRPC. The message goes to the client: no secret belongs in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("unauthenticated: {0}")]
    Unauthenticated(String),
    #[error("permission denied: {0}")]
    PermissionDenied(String),
    #[error("not found: {0}")]
    NotFound(String),
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    #[error("unavailable: {0}")]
    Unavailable(String),
}

/// What is kept of Envoy's 40 KB Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub id: String,
    /// `node.user_agent_build_version` as `1.40.0`, or empty.
    pub version: String,
    /// `kuma.accessLogPipe` and its like: the string fields of `node.metadata`.
    pub metadata: std::collections::BTreeMap<String, String>,
}

/// Decides who may open a stream and what it then gets.
pub trait Authority: Send + Sync + 'static {
    /// Who a client has proved to be.
    type Peer: Send + 'static;
    type Subscriber: Subscriber;

    /// Called before anything of the stream is decoded. `authorization` is the header's value, if there is exactly one.
    fn authenticate(&self, authorization: Option<&str>, from: SocketAddr) -> Result<Self::Peer, Refusal>;

    /// Called with the first message's node.
    fn subscribe(
        &self,
        peer: Self::Peer,
        node: &Node,
    ) -> impl Future<Output = Result<Self::Subscriber, Refusal>> + Send;
}

/// One client's source of snapshots, and the ear for what became of them. Dropped when the stream ends.
pub trait Subscriber: Send + 'static {
    /// Told once, before anything else: how to look into the stream while it lives.
    fn began(&mut self, view: StreamView);

    /// Waits for a snapshot that differs from the one returned last; the first call returns the first one there is. Only
    /// the latest is ever returned. The number is the caller's own tag of that state (a revision), given back in
    /// [`SessionStatus::settled_tag`]. An `Err` ends the stream with that status. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Result<(u64, Arc<Snapshot>), Refusal>> + Send;

    /// Whether the stream has to end now, which [`Self::next`] would say, too: asked before a request is answered, so that
    /// who is refused is told nothing more.
    fn refused(&mut self) -> Option<Refusal> {
        None
    }

    /// Told after every request and response that counted, and whenever [`SessionStatus::settled`] or its tag change.
    fn observe(&mut self, status: &SessionStatus);
}

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

/// Serves the aggregated discovery service to the clients that an [`Authority`] lets in.
pub struct Server<A> {
    settings: ServerSettings,
    authority: A,
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

/// As many connections as may wait to be accepted: with 10,000 proxies that come back at once, all of them should.
const BACKLOG: u32 = 4096;

/// After a failed accept, which mostly means that there are no file descriptors left: they come back as connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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

/// A listening socket with a backlog that fits a fleet, for [`Server::serve`]. To be called in a tokio runtime.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl<A: Authority> Server<A> {
    pub fn new(settings: ServerSettings, authority: A) -> Self {
        Self { settings, authority }
    }

    /// Serves until `shutdown` is ready; then ends every stream with UNAVAILABLE, so that clients go elsewhere, and
    /// returns once all connections are closed, at the latest after [`ServerSettings::shutdown_timeout`].
    ///
    /// A new value of `tls` counts from the next connection; open ones stay. Of the configuration given, ALPN, tickets
    /// and the session cache are set here: only HTTP/2 is spoken, and nobody resumes a session.
    pub async fn serve(
        self,
        listeners: Vec<TcpListener>,
        tls: watch::Receiver<Arc<rustls::ServerConfig>>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let (phase, phases) = watch::channel(Phase::Serving);
        let slots = Slots::new(self.settings.max_connections, self.settings.undisturbed);
        let shutdown_timeout = self.settings.shutdown_timeout;
        let context = Arc::new(Context {
            settings: self.settings,
            authority: self.authority,
            phase: phases,
            refusals: RefusalLog::new(Instant::now()),
            admission: Admission::new(),
        });
        let accepting =
            listeners.into_iter().map(|it| accept(it, tls.clone(), slots.clone(), context.clone()));
        tokio::select! {
            () = shutdown => {}
            // They end with `shutdown` only; without any listener there is nothing to do until then.
            () = async { join_all(accepting).await; std::future::pending().await } => {}
        }
        phase.send_replace(Phase::Draining);
        if tokio::time::timeout(shutdown_timeout, slots.all_free()).await.is_err() {
            phase.send_replace(Phase::Closed);
        }
    }
}

async fn accept<A: Authority>(
    listener: TcpListener,
    mut tls: watch::Receiver<Arc<rustls::ServerConfig>>,
    slots: Arc<Slots>,
    context: Arc<Context<A>>,
) {
    let mut config = config(&tls.borrow_and_update());
    loop {
        let (tcp, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection, will try again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if tls.has_changed().unwrap_or(false) {
            config = self::config(&tls.borrow_and_update());
        }
        match slots.take().await {
            Some(slot) => connection::begin(tcp, from, config.clone(), context.clone(), slot),
            None => context.refusals.note(from, &"as many connections are open as may be"),
        }
    }
}

fn config(config: &Arc<rustls::ServerConfig>) -> Arc<rustls::ServerConfig> {
    let mut config = rustls::ServerConfig::clone(config);
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Arc::new(config)
}
