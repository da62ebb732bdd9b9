//! A control plane without sockets: a memory store, the follower, and feeds that stand for streams.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use control_plane::{
    certificates::{Certificates, forget_certificates},
    contents::Contents,
    feed::{Feed, Planner},
    follow::{follow, whole_world},
    live_streams::LiveStreams,
    mesh_cas::{StoredMeshCas, make_mesh_cas},
    metrics::Metrics,
    record::Recorder,
    registry::Registry,
    turns::Turns,
};
use identity::SecretsKey;
use model::{Key, Kind, ProxyId};
use plan::Announced;
use store::{MemoryStore, Store, Transaction, Write};
use tokio::task::JoinHandle;
use xds::{Snapshot, Subscriber as _};

/// Of the certificates of proxies.
pub(crate) const VALIDITY: Duration = Duration::from_hours(336);

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) planner: Arc<Planner>,
    background: [JoinHandle<()>; 3],
}

impl World {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self::with_clock(store, SystemTime::now, VALIDITY)
    }

    pub(crate) fn with_clock(store: Arc<dyn Store>, now: fn() -> SystemTime, validity: Duration) -> Self {
        let present = store.present();
        let at = Instant::now();
        let registry = Arc::new(Registry::new(whole_world(&present), present.revision().number, at));
        let secrets_key = SecretsKey::from_bytes(&[7; 32]).unwrap();
        let mesh_cas = Arc::new(StoredMeshCas::new(store.clone(), secrets_key, registry.clone(), now));
        let certificates = Arc::new(Certificates::new(mesh_cas.clone(), validity, now));
        let live_streams = Arc::new(LiveStreams::default());
        let metrics = Arc::new(Metrics::new(store.clone(), certificates.clone(), live_streams.clone()));
        let recorder = Arc::new(Recorder::new(store.clone(), "instance".to_owned(), Duration::from_secs(1)));
        let planner = Arc::new(Planner {
            registry: registry.clone(),
            contents: Contents::default(),
            metrics: metrics.clone(),
            turns: Turns::new(2),
            live_streams: live_streams.clone(),
            certificates: certificates.clone(),
        });
        let background = [
            tokio::spawn(follow(store.clone(), registry.clone(), recorder.clone())),
            tokio::spawn(make_mesh_cas(store.clone(), mesh_cas)),
            tokio::spawn(forget_certificates(store.clone(), certificates, live_streams)),
        ];
        Self { store, registry, metrics, recorder, planner, background }
    }

    pub(crate) fn with_memory() -> Self {
        Self::new(Arc::new(MemoryStore::new(1)))
    }

    pub(crate) fn connect(&self, name: &str) -> Feed {
        let proxy = ProxyId::new("default", name);
        Feed::new(self.planner.clone(), proxy.clone(), Announced::default(), self.recorder.open(&proxy), None)
    }

    /// Commits all of it as one revision, and waits until the world has it.
    pub(crate) async fn put(&self, resources: impl IntoIterator<Item = (Key, String)>) {
        self.commit(resources.into_iter().map(written).collect()).await;
    }

    pub(crate) async fn delete(&self, key: Key) {
        self.commit(vec![Write::Delete(key)]).await;
    }

    pub(crate) async fn commit(&self, writes: Vec<Write>) {
        self.commit_unheard(writes).await;
        self.settle().await;
    }

    /// In a test of one thread, nobody hears of it before the test waits for something else.
    pub(crate) async fn commit_unheard(&self, writes: Vec<Write>) {
        let transaction = Transaction { writes, author: "test".to_owned(), ..Transaction::default() };
        self.store.commit(transaction).await.unwrap();
    }

    /// From now on no Mesh is given a CA by itself.
    pub(crate) fn make_no_mesh_cas(&self) {
        self.background[1].abort();
    }

    /// Waits until the world is at the store's latest revision.
    pub(crate) async fn settle(&self) {
        while self.registry.revision() < self.store.present().revision().number {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for task in &self.background {
            task.abort();
        }
    }
}

pub(crate) fn written((key, json): (Key, String)) -> Write {
    let spec = key.kind.read_spec(&mut serde_json::Deserializer::from_str(&json)).unwrap();
    Write::Put(key, Arc::new(spec))
}

pub(crate) fn mesh() -> (Key, String) {
    (Key::mesh("default"), "{}".to_owned())
}

/// A Dataplane of `service` on an address of its own, with an outbound to each of `uses`.
pub(crate) fn dataplane(name: &str, service: &str, number: usize, uses: &[&str]) -> (Key, String) {
    let outbound: Vec<_> = uses
        .iter()
        .enumerate()
        .map(|(i, service)| serde_json::json!({"interface": format!(":{}", 20_000 + i), "service": service}))
        .collect();
    let interface = format!("127.{}.{}.1:8080:80", number / 250, number % 250);
    let spec = serde_json::json!({
        "networking": {"inbound": [{"interface": interface, "tags": {"service": service}}], "outbound": outbound},
    });
    (Key::new(Kind::Dataplane, "default", name), spec.to_string())
}

pub(crate) async fn next(feed: &mut Feed) -> Arc<Snapshot> {
    let (_, snapshot) = tokio::time::timeout(Duration::from_secs(30), feed.next()).await.unwrap().unwrap();
    snapshot
}
