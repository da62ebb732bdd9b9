//! Envoy's admin interface on a unix socket: counts connections as it is told to, and tells what it was asked.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::kuma_dp::DEADLINE;

pub(crate) struct FakeAdmin {
    asked: mpsc::UnboundedReceiver<String>,
    connections: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    asked: mpsc::UnboundedSender<String>,
    connections: Arc<AtomicU64>,
}

impl FakeAdmin {
    /// Has one connection that is not the administrator's.
    pub(crate) fn listen(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("the socket can be made");
        let (sender, asked) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicU64::new(1));
        let shared = Shared { asked: sender, connections: Arc::clone(&connections) };
        let router = Router::new().fallback(respond).with_state(shared);
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves until it is dropped");
        });
        Self { asked, connections, server }
    }

    /// What it is asked next, `/ready` aside.
    pub(crate) async fn asked(&mut self) -> String {
        loop {
            let request = timeout(DEADLINE, self.asked.recv()).await.expect("it is asked in time");
            let request = request.expect("the server runs");
            if request != "GET /ready" {
                return request;
            }
        }
    }

    pub(crate) fn last_connection_ends(&self) {
        self.connections.store(0, Ordering::SeqCst);
    }

    /// As if this Envoy ended: nobody listens any more.
    pub(crate) fn end(self) {
        self.server.abort();
    }
}

async fn respond(State(shared): State<Shared>, request: Request) -> String {
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    // The test may have ended already; then nobody wants to know.
    let _ = shared.asked.send(format!("{} {path}", request.method()));
    match request.uri().path() {
        "/ready" => "LIVE\n".to_owned(),
        "/stats" => {
            let connections = shared.connections.load(Ordering::SeqCst);
            format!(
                "listener.127.0.0.1_1.downstream_cx_active: {connections}\nlistener.admin.downstream_cx_active: 1\n"
            )
        }
        _ => "OK\n".to_owned(),
    }
}
