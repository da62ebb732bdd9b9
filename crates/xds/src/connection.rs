//! One TCP connection: socket options, TLS, HTTP/2, and when it ends.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use crate::{
    authority::Authority,
    context::{Context, Phase, reached},
    open_streams::OpenStreams,
    slots::Slot,
    stream,
};

/// A peer that is gone without a word is found in the kernel, within a minute: after this time without data it is asked...
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// ... and again, until it has not answered ...
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// ... so often.
const KEEPALIVE_PROBES: u32 = 3;
/// How long sent data may stay unacknowledged by the peer's kernel.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// The receive window of a stream and of its connection: a client that comes back sends all its versions in one go.
const WINDOW_BYTES: u32 = 1 << 20;
/// A token is some 500 bytes, and no other header is of interest.
const HEADER_LIST_BYTES: u32 = 16 << 10;
/// One Envoy has one stream; a proxy in between may join the streams of many.
const STREAMS_MAX: u32 = 1000;

/// Serves a connection in tasks of its own. It holds its slot until it is closed.
pub(crate) fn begin<A: Authority>(
    tcp: TcpStream,
    from: SocketAddr,
    tls: Arc<rustls::ServerConfig>,
    context: Arc<Context<A>>,
    slot: Slot,
) {
    // The handshake has a task of its own: its large future is gone before the connection's task begins.
    tokio::spawn(Box::pin(async move {
        match handshake(tcp, tls, &context, &slot).await {
            Ok(tls) => drop(tokio::spawn(serve(tls, from, context, slot))),
            Err(error) => context.refusals.note(from, &error),
        }
    }));
}

#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("cannot set the options of its socket: {0}")]
    Socket(std::io::Error),
    #[error("the TLS handshake failed: {0}")]
    Tls(std::io::Error),
    #[error("no TLS handshake within {0:?}")]
    TimedOut(Duration),
    #[error("the client has gone while it waited for its turn")]
    Gone,
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error("as many connections are open as may be, and this one had been without a stream for longest")]
    MadeRoom,
}

async fn handshake<A: Authority>(
    tcp: TcpStream,
    tls: Arc<rustls::ServerConfig>,
    context: &Context<A>,
    slot: &Slot,
) -> Result<TlsStream<TcpStream>, HandshakeError> {
    set_options(&tcp).map_err(HandshakeError::Socket)?;
    tokio::select! {
        result = shake_hands(tcp, tls, context, slot) => result,
        () = reached(context.phase.clone(), Phase::Draining) => Err(HandshakeError::ShuttingDown),
    }
}

async fn shake_hands<A: Authority>(
    tcp: TcpStream,
    tls: Arc<rustls::ServerConfig>,
    context: &Context<A>,
    slot: &Slot,
) -> Result<TlsStream<TcpStream>, HandshakeError> {
    let limit = context.settings.handshake_timeout;
    let timed_out = |_| HandshakeError::TimedOut(limit);
    // Who has not said all that a turn needs takes none.
    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp);
    let hello = timeout(limit, unless_room_is_needed(slot, hello)).await.map_err(timed_out)??;
    let hello = hello.map_err(HandshakeError::Tls)?;
    // Its time begins with its turn.
    let mut shaken = std::pin::pin!(async {
        if has_gone(&hello.io) {
            return Err(HandshakeError::Gone);
        }
        timeout(limit, hello.into_stream(tls)).await.map_err(timed_out)?.map_err(HandshakeError::Tls)
    });
    match context.admission.first_step(shaken.as_mut()).await {
        Some(shaken) => shaken,
        None => unless_room_is_needed(slot, shaken).await?,
    }
}

/// Whether the client has closed the connection while it waited.
fn has_gone(tcp: &TcpStream) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    match SockRef::from(tcp).peek(&mut byte) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

async fn unless_room_is_needed<T>(slot: &Slot, waits: impl Future<Output = T>) -> Result<T, HandshakeError> {
    let rest = slot.rest();
    tokio::select! {
        done = waits => Ok(done),
        () = rest.evicted() => Err(HandshakeError::MadeRoom),
    }
}

fn set_options(tcp: &TcpStream) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_PROBES))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

async fn serve<A: Authority>(
    tls: TlsStream<TcpStream>,
    from: SocketAddr,
    context: Arc<Context<A>>,
    slot: Slot,
) {
    let settings = context.settings.clone();
    let (open, open_count) = OpenStreams::new(settings.shutdown_timeout);
    let streams = open.clone();
    let phase = context.phase.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let response = stream::respond(request, from, &context, &open);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .serve_connection(TokioIo::new(tls), service);
    let mut connection = std::pin::pin!(connection);

    // How a connection ends says nothing that its streams have not said: they see the loss themselves.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = streams.is_cut() => return,
        unused = unused(open_count, &slot, settings.idle_timeout) => match unused {
            Unused::MakesRoom => return,
            Unused::Idle => {}
        },
        () = reached(phase.clone(), Phase::Draining) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = tokio::time::sleep(settings.shutdown_timeout) => {}
        () = reached(phase, Phase::Closed) => {}
    }
}

/// Why a connection without a stream is closed.
enum Unused {
    Idle,
    MakesRoom,
}

/// Ready once no stream was open for that long, or the connection has to make room while there is none.
async fn unused(mut open_streams: watch::Receiver<usize>, slot: &Slot, limit: Duration) -> Unused {
    while open_streams.wait_for(|open| *open == 0).await.is_ok() {
        let rest = slot.rest();
        tokio::select! {
            biased; // Who is served is never closed.
            next = timeout(limit, open_streams.wait_for(|open| *open > 0)) => {
                if next.is_err() {
                    return Unused::Idle;
                }
            }
            () = rest.evicted() => return Unused::MakesRoom,
        }
    }
    // The service is gone, and so is the connection.
    Unused::Idle
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    #[tokio::test]
    async fn who_has_closed_has_gone_and_who_says_more_has_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        assert!(!has_gone(&server));
        client.write_all(b"more").await.unwrap();
        server.readable().await.unwrap();
        assert!(!has_gone(&server));
        drop(client);
        server.try_read(&mut [0; 10]).unwrap();
        while !has_gone(&server) {
            tokio::task::yield_now().await;
        }
    }
}
