//! A dataplane that speaks xDS itself, without an Envoy, and so gets its hands on what no Envoy gives out: the certificate by
//! which it is known in its mesh, and the key.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use envoy_types::pb::envoy::{
    config::core::v3::{DataSource, Node, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{Secret, secret},
    service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
};
use futures_util::stream::unfold;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_rustls::TlsConnector;

use crate::{
    Certified, ControlPlane,
    child::PATIENCE,
    frames::{Joiner, frame},
};

const METHOD: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const IDENTITY: &str = "identity_cert";
const MESH_CA: &str = "mesh_ca";

/// Requests under way. Each response is answered with one.
const REQUESTS_QUEUED: usize = 4;

/// What a proxy shows and whom it trusts.
pub struct Secrets {
    pub identity: Certified,
    /// The mesh's CAs, in PEM.
    pub roots: String,
}

impl Secrets {
    /// With a token of its own, as the proxy of this Dataplane would.
    ///
    /// # Errors
    /// When they do not come, because the mesh has no mTLS, for example.
    pub async fn fetch(control_plane: &ControlPlane, mesh: &str, dataplane: &str) -> anyhow::Result<Self> {
        let fetched = timeout(PATIENCE, fetch(control_plane, mesh, dataplane)).await;
        fetched.with_context(|| format!("{dataplane} of mesh {mesh} is given no certificate"))?
    }
}

async fn fetch(control_plane: &ControlPlane, mesh: &str, dataplane: &str) -> anyhow::Result<Secrets> {
    let token = control_plane.token(mesh, dataplane).await?;
    let (requests, queue) = mpsc::channel(REQUESTS_QUEUED);
    let subscription = DeltaDiscoveryRequest {
        node: Some(Node { id: format!("{mesh}.{dataplane}"), ..Node::default() }),
        type_url: SECRET.to_owned(),
        resource_names_subscribe: vec![IDENTITY.to_owned(), MESH_CA.to_owned()],
        ..DeltaDiscoveryRequest::default()
    };
    requests.send(frame(&subscription)).await?;
    let mut responses = open_stream(control_plane, &token, queue).await?;
    let mut joiner = Joiner::default();
    let mut secrets = BTreeMap::new();
    loop {
        while let Some(message) = joiner.next_message()? {
            let response = DeltaDiscoveryResponse::decode(message)?;
            for resource in response.resources {
                let any = resource.resource.context("a resource has content")?;
                secrets.insert(resource.name, Secret::decode(any.value.as_slice())?);
            }
            if let (Some(identity), Some(roots)) = (secrets.get(IDENTITY), secrets.get(MESH_CA)) {
                return Ok(Secrets { identity: certified(identity)?, roots: trusted(roots)? });
            }
            let acknowledgement = DeltaDiscoveryRequest {
                type_url: SECRET.to_owned(),
                response_nonce: response.nonce,
                ..DeltaDiscoveryRequest::default()
            };
            requests.send(frame(&acknowledgement)).await?;
        }
        let Some(piece) = responses.frame().await else { bail!("the stream ended") };
        match piece?.into_data() {
            Ok(data) => joiner.push(&data),
            Err(end) => bail!("the stream ended: {:?}", end.into_trailers()),
        }
    }
}

async fn open_stream(
    control_plane: &ControlPlane,
    token: &str,
    queue: mpsc::Receiver<Bytes>,
) -> anyhow::Result<Incoming> {
    let xds = control_plane.xds();
    let ca = std::fs::read(control_plane.work_dir().join("ca.pem"))?;
    let tcp = TcpStream::connect(xds).await?;
    let tls = trusting(&ca)?.connect(ServerName::try_from("localhost")?, tcp).await?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await?;
    // Ends by itself when the stream and the sender are dropped.
    tokio::spawn(connection);
    let body = StreamBody::new(Box::pin(unfold(queue, async |mut queue| {
        let message = queue.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(message)), queue))
    })));
    let request = Request::post(format!("https://localhost:{}{METHOD}", xds.port()))
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .header("authorization", token)
        .body(body)?;
    let response = sender.send_request(request).await?;
    ensure!(response.status() == StatusCode::OK, "HTTP {}", response.status());
    let status = response.headers().get("grpc-status");
    ensure!(status.is_none(), "refused: {:?}", response.headers().get("grpc-message"));
    Ok(response.into_body())
}

fn trusting(ca: &[u8]) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn certified(secret: &Secret) -> anyhow::Result<Certified> {
    let Some(secret::Type::TlsCertificate(certificate)) = &secret.r#type else {
        bail!("{IDENTITY} is no certificate")
    };
    let chain = inline(certificate.certificate_chain.as_ref())?;
    Ok(Certified { chain, key: inline(certificate.private_key.as_ref())? })
}

fn trusted(secret: &Secret) -> anyhow::Result<String> {
    let Some(secret::Type::ValidationContext(context)) = &secret.r#type else {
        bail!("{MESH_CA} has no roots")
    };
    inline(context.trusted_ca.as_ref())
}

fn inline(source: Option<&DataSource>) -> anyhow::Result<String> {
    match source.and_then(|source| source.specifier.as_ref()) {
        Some(Specifier::InlineString(text)) => Ok(text.clone()),
        Some(Specifier::InlineBytes(bytes)) => Ok(String::from_utf8(bytes.clone())?),
        _ => bail!("a secret is not inline"),
    }
}
