//! etcd with its defaults: a write is answered once its batch is in the log and the log on disk.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use testbed::Child;
use tokio::process::Command;

use super::entity::{self, Serial, WRITTEN_MESH};
use super::http1;
use super::load::Client;
use super::machine::free_port;
use testbed::frames::frame;

/// `etcdserverpb.PutRequest` of etcd's `rpc.proto`, without what is optional.
#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

const PUT: &str = "/etcdserverpb.KV/Put";

#[derive(Debug)]
pub(crate) struct Etcd {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
}

impl Etcd {
    /// Starts it in `folder` and waits until it has elected itself.
    pub(crate) async fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let (address, peers) = (free_port()?, free_port()?);
        let (clients_url, peers_url) = (format!("http://{address}"), format!("http://{peers}"));
        let mut command = Command::new(program);
        command
            .args(["--name", "bench", "--initial-cluster", &format!("bench={peers_url}")])
            .arg("--data-dir")
            .arg(folder.join("etcd"))
            .args(["--listen-client-urls", &clients_url, "--advertise-client-urls", &clients_url])
            .args(["--listen-peer-urls", &peers_url, "--initial-advertise-peer-urls", &peers_url]);
        let mut process = Child::spawn("etcd", &mut command, &folder.join("etcd.log"))?;
        let is_healthy = async || {
            let mut connection = http1::Connection::open(address).await.ok()?;
            connection.exchange(&http1::get(address, "/health"), |_| ()).await.ok()
        };
        process.until("its being healthy", is_healthy).await?;
        Ok(Self { process, address })
    }
}

/// Puts one key's value, over and over.
pub(crate) struct Writer {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    number: u32,
    serial: Arc<Serial>,
}

impl Writer {
    pub(crate) async fn open(address: SocketAddr, number: u32, serial: Arc<Serial>) -> anyhow::Result<Self> {
        let tcp = tokio::net::TcpStream::connect(address).await.context("connecting to etcd")?;
        tcp.set_nodelay(true).context("TCP_NODELAY")?;
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp));
        let (sender, connection) = handshake.await.context("the HTTP/2 handshake with etcd")?;
        // Ends by itself when the sender is dropped.
        tokio::spawn(connection);
        Ok(Self { address, sender, number, serial })
    }
}

impl Client for Writer {
    async fn request(&mut self) -> anyhow::Result<()> {
        let key = format!("/{WRITTEN_MESH}/{}", entity::name(self.number));
        let value = entity::dataplane(WRITTEN_MESH, self.number, self.serial.next());
        let put = PutRequest { key: key.into(), value: value.into() };
        let request = Request::post(format!("http://{}{PUT}", self.address))
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .body(Full::new(frame(&put)))
            .context("a request")?;
        let response = self.sender.send_request(request).await.context("a put")?;
        ensure!(response.status() == StatusCode::OK, "a put was answered with HTTP {}", response.status());
        ok(response.headers().get("grpc-status").map(|_| response.headers()))?;
        let body = response.into_body().collect().await.context("the answer to a put")?;
        ok(body.trailers())
    }
}

/// Whether a gRPC call has gone well, as far as its headers or trailers say.
fn ok(said: Option<&HeaderMap>) -> anyhow::Result<()> {
    let Some(said) = said else { return Ok(()) };
    let text = |name| said.get(name).and_then(|value| value.to_str().ok()).unwrap_or("?");
    ensure!(text("grpc-status") == "0", "gRPC status {} ({})", text("grpc-status"), text("grpc-message"));
    Ok(())
}
