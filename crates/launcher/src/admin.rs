//! Envoy's admin interface over HTTP: on a unix socket that only this user can open, or on a loopback port.
//!
//! Paths and answers: Envoy's documentation, "Administration interface". Each request has a connection of its own; they are
//! rare, and a kept one would count among the connections that a drain waits for.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Envoy answers from its main thread, which a large configuration can keep busy for a while.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A configuration dump of a large mesh has some tens of megabytes.
const LARGEST_ANSWER: usize = 256 * 1024 * 1024;

/// Where an Envoy listens for its administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    Socket(PathBuf),
    Tcp(SocketAddr),
}

/// Why there is no answer. Whether an answer is a good one, its status says.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("Envoy's admin interface at {address} cannot be reached: {source}")]
    Unreachable { address: AdminAddress, source: std::io::Error },
    #[error("Envoy's admin interface at {address} did not answer {path}: {reason}")]
    NoAnswer { address: AdminAddress, path: String, reason: String },
}

impl AdminAddress {
    /// `path` is absolute and may have a query. The body is what Envoy sent, bytes that are no text replaced.
    pub async fn get(&self, path: &str) -> Result<(StatusCode, String), AdminError> {
        self.request(Method::GET, path).await
    }

    /// For what changes Envoy's state.
    pub async fn post(&self, path: &str) -> Result<(StatusCode, String), AdminError> {
        self.request(Method::POST, path).await
    }

    async fn request(&self, method: Method, path: &str) -> Result<(StatusCode, String), AdminError> {
        let unreachable = |source| AdminError::Unreachable { address: self.clone(), source };
        let exchange = async {
            match self {
                Self::Socket(socket) => {
                    let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
                    self.exchange(stream, method, path).await
                }
                Self::Tcp(address) => {
                    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
                    self.exchange(stream, method, path).await
                }
            }
        };
        let late = |_| self.no_answer(path, &format!("nothing within {} s", TIMEOUT.as_secs()));
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(late)?
    }

    async fn exchange<S>(
        &self,
        stream: S,
        method: Method,
        path: &str,
    ) -> Result<(StatusCode, String), AdminError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |error: &dyn fmt::Display| self.no_answer(path, error);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "envoy-admin")
            .header(http::header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| failed(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| failed(&e))?;
        let connection = tokio::spawn(connection);
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST_ANSWER)
                .collect()
                .await
                .map_err(|error| failed(&error))?
                .to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        }
        .await;
        connection.abort();
        answer
    }

    fn no_answer(&self, path: &str, reason: &dyn fmt::Display) -> AdminError {
        AdminError::NoAnswer { address: self.clone(), path: path.to_owned(), reason: reason.to_string() }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(formatter),
            Self::Tcp(address) => address.fmt(formatter),
        }
    }
}
