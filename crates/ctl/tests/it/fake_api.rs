//! A control plane's HTTP API with canned answers, which remembers what it was asked.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderName, StatusCode, header},
};

/// What an answer of the API looks like where there is nothing.
const NOT_FOUND: &str = r#"{"title":"Could not retrieve a resource","details":"Not found"}"#;

const BODY_MAX: usize = 1 << 20;

pub(crate) struct FakeApi {
    pub(crate) address: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// `METHOD path`, status and body. Of several for one path each is given once, in order, and the last from then on.
    /// Anything else is a 404 of the API.
    answers: Vec<(&'static str, u16, String)>,
    asked: Mutex<Vec<Asked>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `METHOD path?query`.
    pub(crate) request: String,
    pub(crate) accept: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) body: String,
}

impl FakeApi {
    pub(crate) async fn start(answers: &[(&'static str, u16, &str)]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        // An answer may name the server's own address.
        let answers =
            answers.iter().map(|(at, status, body)| (*at, *status, body.replace("{API}", &address)));
        let shared = Arc::new(Shared { answers: answers.collect(), asked: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    /// Everything since the start, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.request).collect()
    }
}

/// A redirection leads to `/`.
async fn answer(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> (StatusCode, [(HeaderName, &'static str); 1], Bytes) {
    let (parts, body) = request.into_parts();
    let header = |name| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let body = to_bytes(body, BODY_MAX).await.unwrap();
    let asked = Asked {
        request: format!("{} {}", parts.method, parts.uri),
        accept: header(header::ACCEPT),
        content_type: header(header::CONTENT_TYPE),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let at = format!("{} {}", parts.method, parts.uri.path());
    let before = {
        let mut all = shared.asked.lock().unwrap();
        all.push(asked);
        all[..all.len() - 1].iter().filter(|asked| asked.request.split('?').next() == Some(&at)).count()
    };
    let mut canned = shared.answers.iter().filter(|(known, ..)| *known == at);
    let canned = canned.clone().nth(before).or_else(|| canned.next_back());
    let (status, body) = canned.map_or((404, NOT_FOUND), |(_, status, body)| (*status, body));
    let body = Bytes::copy_from_slice(body.as_bytes());
    (StatusCode::from_u16(status).unwrap(), [(header::LOCATION, "/")], body)
}
