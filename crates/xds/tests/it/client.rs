//! A client that can also misbehave.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use envoy_types::pb::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
};
use futures_util::stream;
use http::{HeaderMap, Method, Request, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) const DELTA: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
pub(crate) const STATE_OF_THE_WORLD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
pub(crate) const CLUSTERS: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

/// Long enough for a loaded machine: only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_mins(1);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// One connection.
pub(crate) struct Client {
    connection: http2::SendRequest<Body>,
    driver: JoinHandle<hyper::Result<()>>,
}

/// One request whose body is sent piece by piece.
pub(crate) struct Call {
    pub(crate) body: mpsc::UnboundedSender<Vec<u8>>,
    pub(crate) response: http::Response<Incoming>,
    unread: Vec<u8>,
}

pub(crate) async fn tls(
    address: SocketAddr,
    root: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), tcp).await
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, root: &CertificateDer<'static>) -> Self {
        Self::over(within(tls(address, root)).await.unwrap()).await
    }

    /// However often it is refused before.
    pub(crate) async fn connect_at_last(address: SocketAddr, root: &CertificateDer<'static>) -> Self {
        loop {
            if let Ok(tls) = tls(address, root).await {
                return Self::over(tls).await;
            }
        }
    }

    async fn over(tls: TlsStream<TcpStream>) -> Self {
        let (connection, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
        Self { connection, driver: tokio::spawn(driver) }
    }

    /// A call as Envoy makes it, but for the headers given.
    pub(crate) async fn call(&self, path: &str, headers: &[(&'static str, &'static str)]) -> Call {
        let request =
            headers.iter().fold(post(path, "application/grpc"), |it, (name, value)| it.header(*name, *value));
        self.send(request).await
    }

    pub(crate) async fn send(&self, request: http::request::Builder) -> Call {
        let (body, pieces) = mpsc::unbounded_channel::<Vec<u8>>();
        let pieces = stream::unfold(pieces, |mut pieces| async {
            Some((Ok(Frame::data(Bytes::from(pieces.recv().await?))), pieces))
        });
        let request = request.body(StreamBody::new(pieces).boxed_unsync()).unwrap();
        let response = within(self.connection.clone().send_request(request)).await.unwrap();
        Call { body, response, unread: Vec::new() }
    }

    /// An accepted stream.
    pub(crate) async fn open(&self) -> Call {
        let call = self.call(DELTA, &[("authorization", "Bearer good")]).await;
        call.say(&request("default.web", CLUSTERS));
        call
    }

    /// Waits until the server has closed the connection.
    pub(crate) async fn closed(self) {
        drop(within(self.driver).await.unwrap());
    }
}

impl Call {
    pub(crate) fn say(&self, request: &DeltaDiscoveryRequest) {
        self.body.send(framed(&request.encode_to_vec())).unwrap();
    }

    /// Of clusters.
    pub(crate) fn acknowledge(&self, nonce: &str) {
        self.answer(CLUSTERS, nonce);
    }

    pub(crate) fn answer(&self, type_url: &str, nonce: &str) {
        self.say(&DeltaDiscoveryRequest {
            type_url: type_url.to_owned(),
            response_nonce: nonce.to_owned(),
            ..Default::default()
        });
    }

    /// Ends the request.
    pub(crate) fn end(self) -> Self {
        let (body, _) = mpsc::unbounded_channel();
        Self { body, ..self }
    }

    pub(crate) async fn hear(&mut self) -> DeltaDiscoveryResponse {
        self.hear_any().await
    }

    pub(crate) async fn hear_any<M: Message + Default>(&mut self) -> M {
        loop {
            if let [_, a, b, c, d, rest @ ..] = self.unread.as_slice() {
                let bytes = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                if rest.len() >= bytes {
                    let message = M::decode(&rest[..bytes]).unwrap();
                    self.unread.drain(..5 + bytes);
                    return message;
                }
            }
            let frame = within(self.response.body_mut().frame()).await.expect("the stream goes on").unwrap();
            self.unread.extend_from_slice(&frame.into_data().expect("no trailers yet"));
        }
    }

    /// The gRPC status that ends the stream, from the headers or from the trailers.
    pub(crate) async fn status(mut self) -> (i32, String) {
        let headers = self.response.headers().clone();
        if headers.contains_key("grpc-status") {
            return status(&headers);
        }
        loop {
            let frame =
                within(self.response.body_mut().frame()).await.expect("a status comes first").unwrap();
            if let Ok(trailers) = frame.into_trailers() {
                return status(&trailers);
            }
        }
    }
}

pub(crate) fn post(path: &str, content_type: &str) -> http::request::Builder {
    let request = Request::builder().method(Method::POST).uri(format!("https://localhost{path}"));
    request.header(header::CONTENT_TYPE, content_type).header(header::TE, "trailers")
}

fn status(headers: &HeaderMap) -> (i32, String) {
    let status = tonic::Status::from_header_map(headers).expect("a gRPC status");
    (status.code() as i32, status.message().to_owned())
}

pub(crate) fn request(node_id: &str, type_url: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        node: Some(Node { id: node_id.to_owned(), ..Default::default() }),
        type_url: type_url.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it happens in time")
}
