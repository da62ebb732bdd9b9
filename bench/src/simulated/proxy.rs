//! One simulated proxy: a TLS connection, one delta stream on it, and the [`Conversation`] held there. It comes back when
//! the stream breaks, as Envoy does.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{BuildVersion, Extension, Node, node::UserAgentVersionType};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use envoy_types::pb::envoy::r#type::v3::SemanticVersion;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::board::Board;
use super::conversation::{Conversation, ProtocolError};
use super::topology::{MESH, Topology};
use testbed::frames::{Joiner, frame};

const METHOD: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// Envoy 1.40 lists its extensions in the first message: some 40 KB.
const EXTENSIONS: usize = 380;

/// Envoy 1.40's initial windows, of a stream and of a connection. Bytes.
const STREAM_WINDOW: u32 = 16 << 20;
const CONNECTION_WINDOW: u32 = 24 << 20;

/// Requests on their way to the connection: as many as a stream opens with, and more. The next response is read when all that
/// there is to say to one has left or waits here.
const REQUESTS_QUEUED: usize = 8;

/// Pauses before coming back (`retry_back_off` of the bootstrap): doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// One source address has about 28,000 free ports by default.
const PROXIES_PER_SOURCE_ADDRESS: u32 = 20_000;

/// What all proxies share.
pub(crate) struct Surroundings {
    pub(crate) topology: Topology,
    pub(crate) xds: SocketAddr,
    pub(crate) tls: TlsConnector,
    pub(crate) extensions: Vec<Extension>,
    pub(crate) board: Board,
}

/// Trusts the control plane's CA and nobody else.
pub(crate) fn tls(ca_pem: &str) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate.context("ca.pem is not PEM")?).context("ca.pem is no CA certificate")?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS 1.2 and 1.3 are not supported")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Made once and cloned into each first message.
pub(crate) fn extensions() -> Vec<Extension> {
    let extension = |number| Extension {
        name: format!("envoy.filters.http.extension_{number:04}"),
        category: "envoy.filters.http".to_owned(),
        type_urls: vec![format!("envoy.extensions.filters.x.v3.Extension{number:04}")],
        ..Extension::default()
    };
    (0..EXTENSIONS).map(extension).collect()
}

/// Stays connected until it is aborted. Each new number in `round` makes it close its stream and open another.
pub(crate) async fn run(
    surroundings: Arc<Surroundings>,
    number: u32,
    token: String,
    mut round: watch::Receiver<u32>,
) {
    let mut conversation = Conversation::default();
    let mut was_configured = false;
    let mut pause = FIRST_PAUSE;
    loop {
        let stream = stay_connected(&surroundings, number, &token, &mut conversation);
        let ended = tokio::select! {
            ended = Box::pin(stream) => Some(ended),
            changed = round.changed() => match changed {
                Ok(()) => None,
                Err(_) => return,
            },
        };
        if conversation.is_configured() {
            was_configured = true;
            pause = FIRST_PAUSE;
        }
        let Some(Err(error)) = ended else { continue };
        if let Some(violation) = error.downcast_ref::<ProtocolError>() {
            surroundings.board.violated(number, violation);
            return;
        }
        surroundings.board.lost(&error);
        if !was_configured {
            // Half of a first configuration: a new start is simpler than what Envoy does, and comes to the same.
            conversation = Conversation::default();
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Ends only by failing.
async fn stay_connected(
    surroundings: &Surroundings,
    number: u32,
    token: &str,
    conversation: &mut Conversation,
) -> anyhow::Result<Infallible> {
    let (requests, queue) = mpsc::channel(REQUESTS_QUEUED);
    for request in conversation.open(node(surroundings, number)) {
        requests
            .try_send(frame(&request))
            .context("a stream opens with more requests than the queue holds")?;
    }
    let mut responses = open_stream(surroundings, number, token, Requests(queue)).await?;
    let mut joiner = Joiner::default();
    loop {
        let Some(piece) = responses.frame().await else {
            bail!("the stream ended without a status");
        };
        match piece.context("the stream broke")?.into_data() {
            Ok(data) => joiner.push(&data),
            Err(end) => bail!("the stream ended: {}", grpc_status(&end.into_trailers().unwrap_or_default())),
        }
        while let Some(message) = joiner.next_message()? {
            let bytes = message.len();
            let response = DeltaDiscoveryResponse::decode(message).context("a response does not decode")?;
            let novelty = conversation.novelty(&response);
            for request in conversation.receive(&response)? {
                requests.send(frame(&request)).await.context("the connection is closed")?;
            }
            surroundings.board.answered(number, &response, bytes, novelty);
            if conversation.is_configured() {
                surroundings.board.configured(number);
            }
        }
    }
}

async fn open_stream(
    surroundings: &Surroundings,
    number: u32,
    token: &str,
    requests: Requests,
) -> anyhow::Result<Incoming> {
    let socket = TcpSocket::new_v4().context("no socket: is the limit of open files high enough?")?;
    let host =
        u8::try_from(1 + number / PROXIES_PER_SOURCE_ADDRESS).context("too many proxies for 127.0.0.0/24")?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0))).context("no free source port")?;
    let tcp = socket.connect(surroundings.xds).await.context("connecting")?;
    tcp.set_nodelay(true).context("TCP_NODELAY")?;
    let name = ServerName::try_from("localhost").context("a server name")?;
    let tls = surroundings.tls.connect(name, tcp).await.context("the TLS handshake")?;
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(tls))
        .await
        .context("the HTTP/2 handshake")?;
    // Ends by itself when the stream and the sender are dropped.
    tokio::spawn(connection);

    let request = Request::post(format!("https://localhost:{}{METHOD}", surroundings.xds.port()))
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .header("authorization", token)
        .body(requests)
        .context("a request")?;
    let response = sender.send_request(request).await.context("the request")?;
    ensure!(response.status() == StatusCode::OK, "the stream was answered with HTTP {}", response.status());
    ensure!(!response.headers().contains_key("grpc-status"), "refused: {}", grpc_status(response.headers()));
    Ok(response.into_body())
}

fn node(surroundings: &Surroundings, number: u32) -> Node {
    let version = SemanticVersion { major_number: 1, minor_number: 40, patch: 0 };
    let version = BuildVersion { version: Some(version), ..BuildVersion::default() };
    Node {
        id: format!("{MESH}.{}", Topology::dataplane_name(number)),
        cluster: surroundings.topology.service_name(surroundings.topology.service_of(number)),
        user_agent_name: "envoy".to_owned(),
        user_agent_version_type: Some(UserAgentVersionType::UserAgentBuildVersion(version)),
        extensions: surroundings.extensions.clone(),
        ..Node::default()
    }
}

fn grpc_status(headers: &HeaderMap) -> String {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("?");
    format!("gRPC status {} ({})", header("grpc-status"), header("grpc-message"))
}

/// A request body that goes on for as long as somebody may send.
struct Requests(mpsc::Receiver<Bytes>);

impl Body for Requests {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|message| message.map(|message| Ok(Frame::data(message))))
    }
}
