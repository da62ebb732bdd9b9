//! Accepting connections, HTTP/1.1 and HTTP/2 alike, so that no peer can hold more than its share.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};
use tower::ServiceExt;

use crate::{idle::IdleLimit, watch::Closing};

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
    /// Connections at a time. Whoever comes when there are so many waits in the listener's queue.
    pub connections: usize,
    /// Connections at a time from one address. Those beyond are closed at once.
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
            connections: 1024,
            connections_per_peer: 512,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

/// The other end of a request's connection, among the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Requests at a time on one HTTP/2 connection: a browser's page asks for fewer, and each may hold a whole list.
const HTTP2_STREAMS: u32 = 32;

/// hyper works with no less.
const HEADER_BYTES_MIN: usize = 8 * 1024;

/// How long to wait after an `accept` that failed for want of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `shutdown` ends, then lets the requests that are under way finish, [`Limits::shutdown_grace`] at most.
///
/// # Errors
/// None once it serves: an `accept` that fails is logged and tried again.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let slots = Arc::new(Semaphore::new(limits.connections));
    let peers = Arc::new(Peers::default());
    let (closing, closed) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
            // Ended tasks are taken out as they end, so that their number is the number of connections.
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%address, %error, "a connection could not be accepted");
                if !is_the_peers(&error) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let Some(share) = peers.admit(peer.ip(), limits.connections_per_peer) else {
            tracing::debug!(%peer, "closed: too many connections from one address");
            continue;
        };
        let serving = serve_connection(stream, peer, router.clone(), limits.clone(), closed.clone());
        connections.spawn(async move {
            serving.await;
            drop((share, slot));
        });
    }
    drop(listener);
    closing.send_replace(());
    drop(closed);
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}

/// A peer that went away before it was accepted says nothing about the next one.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    mut closing: watch::Receiver<()>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
    }
    let watches = Closing(closing.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(watches.clone());
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let builder = connection_builder(&limits);
    let stream = TokioIo::new(IdleLimit::new(stream, limits.idle_timeout));
    let connection = builder.serve_connection(stream, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = closing.changed() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(limits.shutdown_grace, connection).await {
                Ok(ended) => ended,
                Err(_elapsed) => return tracing::warn!(%peer, "cut off: its request outlived the grace"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}

fn connection_builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let header_bytes = limits.header_bytes.max(HEADER_BYTES_MIN);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_buf_size(header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX));
    builder
}

/// How many connections each address has.
#[derive(Debug, Default)]
struct Peers(Mutex<BTreeMap<IpAddr, usize>>);

/// One connection of an address, until it is dropped.
struct Share {
    peers: Arc<Peers>,
    address: IpAddr,
}

impl Peers {
    fn admit(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Share> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Share { peers: self.clone(), address })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}
