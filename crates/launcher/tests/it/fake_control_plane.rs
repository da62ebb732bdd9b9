//! A control plane that answers as a test tells it to, over http or https, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;

pub(crate) const HTML: &str = "<html>a proxy in between</html>";

/// A control plane's CA.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        Self(CertifiedIssuer::self_signed(params, key).expect("it signs itself"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// The `ca` claim of a token.
    pub(crate) fn pin(&self) -> String {
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.0.key().subject_public_key_info());
        URL_SAFE_NO_PAD.encode(digest)
    }

    fn tls(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new([name.to_owned()]).expect("the name is good");
        let certificate = params.signed_by(&key, &self.0).expect("the CA signs");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key fits the certificate");
        TlsAcceptor::from(Arc::new(config))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) request: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

/// What is answered to one path; the others are answered as a good control plane does.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) path: &'static str,
    pub(crate) status: u16,
    pub(crate) body: String,
    /// How often, before the good answers come.
    pub(crate) times: usize,
}

pub(crate) fn always(path: &'static str, status: u16, body: impl Into<String>) -> Answer {
    Answer { path, status, body: body.into(), times: usize::MAX }
}

pub(crate) struct FakeControlPlane {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone)]
struct Script {
    url: String,
    ca: String,
    answer: Arc<Mutex<Option<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeControlPlane {
    pub(crate) async fn http(ca: &Ca, answer: Option<Answer>) -> Self {
        Self::http_at(([127, 0, 0, 1], 0).into(), ca, answer).await
    }

    pub(crate) async fn http_at(address: SocketAddr, ca: &Ca, answer: Option<Answer>) -> Self {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        Self::serve(listener, url, ca.pem(), answer)
    }

    /// Its certificate is of `signer` for `name`; `offered` is what `/ca.pem` says.
    pub(crate) async fn https(signer: &Ca, name: &str, offered: &Ca) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port is free");
        let url = format!("https://{}", listener.local_addr().expect("it is bound"));
        Self::serve(Tls { listener, acceptor: signer.tls(name) }, url, offered.pem(), None)
    }

    fn serve<L>(listener: L, url: String, ca: String, answer: Option<Answer>) -> Self
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
        let asked = Arc::default();
        let script =
            Script { url: url.clone(), ca, answer: Arc::new(Mutex::new(answer)), asked: Arc::clone(&asked) };
        let router = Router::new().fallback(respond).with_state(script);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

async fn respond(State(script): State<Script>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("kuma-dp sends a whole body");
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    script.asked.lock().expect("nobody panicked").push(Asked {
        request: format!("{} {path}", parts.method),
        authorization: parts
            .headers
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().expect("it is text").to_owned()),
        body: body.clone(),
    });
    if let Some(answer) = script.answer.lock().expect("nobody panicked").as_mut()
        && answer.path == path
        && answer.times > 0
    {
        answer.times -= 1;
        let status = StatusCode::from_u16(answer.status).expect("the test names a status");
        return (status, [(header::LOCATION, "http://127.0.0.1:9/")], answer.body.clone()).into_response();
    }
    match path.as_str() {
        "/catalogue" => json!({
            "apis": {
                "bootstrap": { "url": script.url },
                "dataplaneToken": { "localUrl": script.url, "publicUrl": "" },
            }
        })
        .to_string()
        .into_response(),
        "/ca.pem" => script.ca.into_response(),
        "/bootstrap" => bootstrap(&body).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn bootstrap(request: &Value) -> String {
    let admin = match request["adminPort"].as_u64() {
        Some(port) => json!({ "socketAddress": { "address": "127.0.0.1", "portValue": port } }),
        None => json!({ "pipe": { "path": request["adminSocket"], "mode": 0o600 } }),
    };
    json!({ "node": { "id": "default.web-1" }, "admin": { "address": admin } }).to_string()
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            // A client that does not believe us ends the handshake; the next one may.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
