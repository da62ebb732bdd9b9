//! A server of the API for one test, on a port and a store of its own.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use crate::{inspections::CannedInspector, mesh_cas::CannedCas};
use api::{Api, HostPolicy, Limits, NewTokenKey, RequestObserver, TokenKeys};
use identity::{Keyring, SecretsKey, SigningKey, SigningKeyError, SystemRandom};
use plan::bootstrap::BootstrapParams;
use store::{MemoryStore, Store};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// The store's epoch: revisions are `0000abcd-1` and so on.
pub(crate) const EPOCH: u32 = 0xabcd;

/// Sunday, 6 November 1994, 08:49:37.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) token_keys: Arc<Keys>,
    pub(crate) mesh_cas: Arc<CannedCas>,
    pub(crate) observed: Arc<Observed>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What was answered: route, method, status.
#[derive(Default)]
pub(crate) struct Observed(Mutex<Vec<String>>);

impl Observed {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("no test panics while it holds the lock").clone()
    }
}

impl RequestObserver for Observed {
    fn observe(&self, route: &'static str, method: &'static str, status: u16, _elapsed: Duration) {
        let line = format!("{method} {route} {status}");
        self.0.lock().expect("no test panics while it holds the lock").push(line);
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(Arc::new(MemoryStore::new(EPOCH)), |_| {}).await
    }

    pub(crate) async fn start_with(store: Arc<dyn Store>, change: impl FnOnce(&mut Api)) -> Self {
        let token_keys = Arc::new(Keys::new(store.clone()).await);
        let mesh_cas = Arc::new(CannedCas::new(store.clone()));
        let observed = Arc::new(Observed::default());
        let mut api = Api {
            store: store.clone(),
            token_keys: token_keys.clone(),
            ca_pem: "-----BEGIN CERTIFICATE-----\n".to_owned(),
            config: serde_json::json!({"environment": "universal", "store": {"type": "memory"}}),
            version: "1.2.3",
            bootstrap: bootstrap_params(),
            cors: api::CorsPolicy::default(),
            hosts: HostPolicy::new("cp.example", &[], &[]),
            read_only: None,
            tokens_enabled: true,
            limits: Limits::default(),
            now,
            metrics: observed.clone(),
            inspector: Arc::new(CannedInspector { store: store.clone() }),
            mesh_cas: mesh_cas.clone(),
        };
        change(&mut api);
        let limits = api.limits.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel::<()>();
        let router = api::router(api);
        let task = tokio::spawn(async move {
            let stopped = async { _ = stopped.await };
            api::serve(listener, router, &limits, stopped).await.expect("it serves until it is stopped");
        });
        Self { address, store, token_keys, mesh_cas, observed, stop, task }
    }

    /// Returns once every connection has ended.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.task.await.expect("the server does not panic");
    }
}

/// The store's keys, opened anew each time.
pub(crate) struct Keys {
    store: Arc<dyn Store>,
    secrets_key: SecretsKey,
}

impl Keys {
    async fn new(store: Arc<dyn Store>) -> Self {
        let secrets_key = SecretsKey::generate(&SystemRandom::new()).expect("there is randomness");
        let keys = Self { store: store.clone(), secrets_key };
        let first = keys.generate().expect("there is randomness");
        store.put_first_token_key(&first.kid, first.sealed).await.expect("memory takes it");
        keys
    }
}

impl TokenKeys for Keys {
    fn keyring(&self) -> Arc<Keyring> {
        let present = self.store.present();
        let tokens = present.tokens();
        let keys = tokens.keys().into_iter();
        let keys: Vec<_> = keys
            .map(|(kid, key)| SigningKey::open(kid, &key.sealed, &self.secrets_key).expect("it is ours"))
            .collect();
        let signs = keys.last().expect("there is a key").kid().to_owned();
        let keyring = Keyring::new(keys, &signs, "fingerprint").expect("one of them signs");
        Arc::new(keyring.with_revoked(tokens.revocations().map(|(jti, _)| jti.to_string())))
    }

    fn generate(&self) -> Result<NewTokenKey, SigningKeyError> {
        let rng = SystemRandom::new();
        let key = SigningKey::generate(&rng)?;
        Ok(NewTokenKey { kid: key.kid().to_owned(), sealed: key.seal(&self.secrets_key, &rng)? })
    }
}

fn bootstrap_params() -> BootstrapParams {
    BootstrapParams {
        admin_address: [127, 0, 0, 1].into(),
        admin_port: 0,
        admin_access_log_path: "/dev/null".to_owned(),
        xds_host: "127.0.0.1".to_owned(),
        xds_port: 5678,
        xds_connect_timeout: Duration::from_secs(1),
        ca_pem: "-----BEGIN CERTIFICATE-----\n".to_owned(),
    }
}
