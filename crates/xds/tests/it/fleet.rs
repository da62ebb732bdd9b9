//! A server with an authority that knows a token and a state of the world for all.

use std::{net::SocketAddr, sync::Arc};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{sync::watch, task::JoinHandle};
use xds::{
    Authority, Node, Refusal, Resource, ResourceType, Server, ServerSettings, SessionStatus, Snapshot,
    StreamView, Subscriber,
};

/// A running server, and the strings that move it.
pub(crate) struct Fleet {
    pub(crate) address: SocketAddr,
    pub(crate) tls: watch::Sender<Arc<rustls::ServerConfig>>,
    pub(crate) root: CertificateDer<'static>,
    pub(crate) world: watch::Sender<(u64, Arc<Snapshot>)>,
    pub(crate) status: watch::Receiver<SessionStatus>,
    /// Of the stream that began last.
    pub(crate) view: watch::Receiver<Option<StreamView>>,
    /// How many snapshots were taken by all streams together.
    pub(crate) taken: watch::Sender<usize>,
    pub(crate) shutdown: watch::Sender<bool>,
    pub(crate) server: JoinHandle<()>,
}

struct TestAuthority {
    world: watch::Receiver<(u64, Arc<Snapshot>)>,
    status: watch::Sender<SessionStatus>,
    view: watch::Sender<Option<StreamView>>,
    taken: watch::Sender<usize>,
}

pub(crate) struct Stream {
    world: watch::Receiver<(u64, Arc<Snapshot>)>,
    status: watch::Sender<SessionStatus>,
    view: watch::Sender<Option<StreamView>>,
    taken: watch::Sender<usize>,
}

impl Authority for TestAuthority {
    type Peer = String;
    type Subscriber = Stream;

    fn authenticate(&self, authorization: Option<&str>, from: SocketAddr) -> Result<String, Refusal> {
        assert!(from.ip().is_loopback());
        match authorization {
            Some("Bearer good") => Ok("web".to_owned()),
            Some(_) => Err(Refusal::Unauthenticated("this token is not ours: 100 % sure…".to_owned())),
            None => Err(Refusal::Unauthenticated("one authorization header is needed".to_owned())),
        }
    }

    async fn subscribe(&self, peer: String, node: &Node) -> Result<Stream, Refusal> {
        let Self { world, status, view, taken } = self;
        match node.id.split_once('.') {
            Some(("default", name)) if name == peer => {
                let mut world = world.clone();
                world.mark_changed();
                Ok(Stream { world, status: status.clone(), view: view.clone(), taken: taken.clone() })
            }
            Some(("default", _)) => Err(Refusal::PermissionDenied("the token is another's".to_owned())),
            Some(_) => Err(Refusal::NotFound("there is no such mesh".to_owned())),
            None => Err(Refusal::InvalidArgument("not a node id".to_owned())),
        }
    }
}

impl Subscriber for Stream {
    fn began(&mut self, view: StreamView) {
        self.view.send_replace(Some(view));
    }

    async fn next(&mut self) -> Result<(u64, Arc<Snapshot>), Refusal> {
        self.world.changed().await.map_err(|_| Refusal::Unavailable("the world has ended".to_owned()))?;
        self.taken.send_modify(|it| *it += 1);
        Ok(self.world.borrow_and_update().clone())
    }

    fn observe(&mut self, status: &SessionStatus) {
        self.status.send_replace(status.clone());
    }
}

impl Fleet {
    pub(crate) fn start(settings: ServerSettings) -> Self {
        let (root, config) = certificate();
        let (tls, tls_configs) = watch::channel(config);
        let (world, worlds) = watch::channel((1, Arc::new(clusters("1", 10))));
        let (status_sender, status) = watch::channel(SessionStatus::default());
        let taken = watch::Sender::new(0);
        let (view_sender, view) = watch::channel(None);
        let authority =
            TestAuthority { world: worlds, status: status_sender, view: view_sender, taken: taken.clone() };
        let listener = xds::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, mut asked) = watch::channel(false);
        let server = tokio::spawn(async move {
            let shutdown = async { drop(asked.wait_for(|it| *it).await) };
            Server::new(settings, authority).serve(vec![listener], tls_configs, shutdown).await;
        });
        Self { address, tls, root, world, status, view, taken, shutdown, server }
    }
}

pub(crate) fn clusters(version: &str, bytes: usize) -> Snapshot {
    [Arc::new(Resource::new(ResourceType::Cluster, Arc::from("a"), Arc::from(version), &vec![0; bytes]))]
        .into_iter()
        .collect()
}

pub(crate) fn certificate() -> (CertificateDer<'static>, Arc<rustls::ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (made.cert.der().clone(), Arc::new(config))
}
