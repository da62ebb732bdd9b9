//! Accepting connections, HTTP/1.1 and HTTP/2 alike, so that no peer can hold more than its share.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Frame, SizeHint};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tower::ServiceExt;

use crate::{
    connections::{self, Connection, Connections},
    idle::IdleLimit,
    limits::Limits,
    watch::{Closing, Resumable},
};

/// The other end of a request's connection, among the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Requests at a time on one HTTP/2 connection: a browser's page asks for fewer, and each may hold a whole list.
const HTTP2_STREAMS: u32 = 32;

/// hyper works with no less.
const HEADER_BYTES_MIN: usize = 8 * 1024;

/// How long a connection at rest that has to end may take: for the end of an answer that is not all sent, and for a request
/// that has begun in just that moment. Somebody waits for it.
const REST_GRACE: Duration = Duration::from_millis(100);

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
    let all = Connections::new(limits.connections, limits.connections_per_peer);
    let (closing, closed) = watch::channel(());
    let mut tasks = JoinSet::new();
    // Accepted, and waiting for a place. Kept from turn to turn, because another connection may have ended for it.
    let mut arrived: Option<BoxFuture<'static, Arrival>> = None;
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            // Ended tasks are taken out as they end.
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept(), if arrived.is_none() => match accepted {
                Ok((stream, peer)) => {
                    let admission = all.clone().admit(peer.ip());
                    arrived = Some(Box::pin(async move { (stream, peer, admission.await) }));
                }
                Err(error) => {
                    tracing::warn!(%address, %error, "a connection could not be accepted");
                    if !is_the_peers(&error) {
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            },
            (stream, peer, admitted) = waiting(&mut arrived) => {
                arrived = None;
                let Some(connection) = admitted else {
                    tracing::debug!(%peer, "closed: too many connections from one address");
                    continue;
                };
                let serving = Serving { peer, connection, router: router.clone(), limits: limits.clone() };
                tasks.spawn(serving.serve(stream, closed.clone()));
            }
        }
    }
    drop((listener, arrived));
    closing.send_replace(());
    drop(closed);
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// A client, and its connection if it may have one.
type Arrival = (TcpStream, SocketAddr, Option<Arc<Connection>>);

/// Never, while nobody waits.
async fn waiting(arrived: &mut Option<BoxFuture<'static, Arrival>>) -> Arrival {
    match arrived {
        Some(arrived) => arrived.await,
        None => std::future::pending().await,
    }
}

/// A peer that went away before it was accepted says nothing about the next one.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One connection and all that serves it.
struct Serving {
    peer: SocketAddr,
    connection: Arc<Connection>,
    router: Router,
    limits: Limits,
}

impl Serving {
    async fn serve(self, stream: TcpStream, mut closing: watch::Receiver<()>) {
        let Self { peer, connection, router, limits } = self;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
        }
        let watches = Closing(closing.clone());
        let requests = connection.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let under_way = requests.request();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(watches.clone());
            request.extensions_mut().insert(Peer(peer));
            let answered = router.clone().oneshot(request);
            async move {
                let answer = answered.await?;
                let under_way = answer.extensions().get::<Resumable>().is_none().then_some(under_way);
                Ok::<_, Infallible>(answer.map(|body| UntilSent { body, under_way }))
            }
        });
        let builder = connection_builder(&limits);
        let stream = TokioIo::new(IdleLimit::new(stream, limits.idle_timeout));
        let serving = builder.serve_connection(stream, service);
        tokio::pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = connection.ended() => {
                tracing::debug!(%peer, "ends at rest, to make room");
                if !connection.has_served() {
                    return;
                }
                serving.as_mut().graceful_shutdown();
                tokio::time::timeout(REST_GRACE, serving).await.unwrap_or(Ok(()))
            }
            _ = closing.changed() => {
                serving.as_mut().graceful_shutdown();
                let rests = connection.is_at_rest();
                let grace = if rests { REST_GRACE.min(limits.shutdown_grace) } else { limits.shutdown_grace };
                match tokio::time::timeout(grace, serving).await {
                    Ok(ended) => ended,
                    Err(_elapsed) if rests => Ok(()),
                    Err(_elapsed) => return tracing::warn!(%peer, "cut off: its request outlived the grace"),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection ended badly");
        }
    }
}

/// The body of an answer: until it is sent, its request is under way.
struct UntilSent {
    body: Body,
    /// Ends as this is dropped.
    #[expect(dead_code, reason = "it is there to be dropped")]
    under_way: Option<connections::Request>,
}

impl http_body::Body for UntilSent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
