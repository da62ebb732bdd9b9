//! `GET /metrics`, on a unix socket in kuma-dp's folder and, if asked for, on a loopback port.
//!
//! Whoever asks is on this machine, and still only a few are served at once, each for a short while, with one request a
//! connection: kuma-dp has other things to do.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::stat::{Mode, fchmod};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixSocket};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{error, warn};

use crate::metrics::Metrics;

/// Connections of one listener that are served at the same time; others wait in the kernel.
const CONNECTIONS: usize = 16;
const BACKLOG: u32 = 64;
const HEADERS_WITHIN: Duration = Duration::from_secs(2);
const LONGEST_CONNECTION: Duration = Duration::from_secs(10);
const LARGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// After an accept that failed, which it does when files are short.
const PAUSE: Duration = Duration::from_secs(1);
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug)]
pub(crate) enum Listener {
    Socket(UnixListener),
    Port(TcpListener),
}

impl Listener {
    /// A socket that only this user can connect to. There must be nothing at `path`.
    pub(crate) fn on_socket(path: &str) -> io::Result<Self> {
        let socket = UnixSocket::new_stream()?;
        // Before it has a name: a socket in the file system gets the mode that its descriptor has (unix(7), Linux).
        fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
        socket.bind(path)?;
        Ok(Self::Socket(socket.listen(BACKLOG)?))
    }

    /// On 127.0.0.1.
    pub(crate) async fn on_port(port: u16) -> io::Result<Self> {
        TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.map(Self::Port)
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Socket(listener) => listener.accept().await.map(|(stream, _)| Box::new(stream) as _),
            Self::Port(listener) => listener.accept().await.map(|(stream, _)| Box::new(stream) as _),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Serves until it is dropped; a connection that is being served then has its own few seconds to end.
pub(crate) async fn serve(listener: Listener, metrics: Arc<Metrics>) -> Infallible {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                warn!(%error, "a connection to the metrics could not be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let metrics = Arc::clone(&metrics);
        tokio::spawn(async move {
            // Whether it ended well or in time is of interest to the other side alone.
            let _ = timeout(LONGEST_CONNECTION, converse(stream, &metrics)).await;
            drop(place);
        });
    }
}

async fn converse(stream: Box<dyn Stream>, metrics: &Metrics) -> hyper::Result<()> {
    let service = service_fn(async |request| Ok::<_, Infallible>(respond(&request, metrics)));
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn respond<B>(request: &Request<B>, metrics: &Metrics) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return status(StatusCode::NOT_FOUND, "there is only /metrics here\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = status(StatusCode::METHOD_NOT_ALLOWED, "the metrics can only be read\n");
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match metrics.print() {
        Ok(text) => {
            let mut response = Response::new(Full::from(text));
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(CONTENT_TYPE));
            response
        }
        Err(error) => {
            error!(%error, "the metrics could not be printed");
            status(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be printed\n")
        }
    }
}

fn status(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
