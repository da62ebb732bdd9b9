//! `kuma-cp run`: opens what is kept, builds the whole view, then serves, until it is told to stop.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};

use anyhow::{Context as _, bail};
use identity::{SecureRandom, SystemRandom};
use plan::bootstrap::BootstrapParams;
use store::{EmbeddedStore, MemoryStore, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    admissions::Admissions,
    authority::Streams,
    certificates::{Certificates, forget_certificates},
    config::{self, Config, StoreKind},
    contents::Contents,
    default_mesh::apply_default_mesh,
    diagnostics,
    feed::Planner,
    follow::{follow, whole_world},
    inspect::Inspector,
    listen,
    live_streams::LiveStreams,
    mesh_cas::{StoredMeshCas, make_mesh_cas},
    metrics::Metrics,
    record::Recorder,
    registry::Registry,
    rotation::Rotation,
    secrets::{self, Secrets},
    supervise::Running,
    tls::ServerTls,
    turns::Turns,
    work_dir::{Ports, WorkDir},
};

/// Runs until `stop` is cancelled, then ends every stream and writes what is not written yet.
///
/// # Errors
/// What keeps it from starting, or a part of it that died: each a sentence for the operator.
pub async fn run(
    config: Config,
    variables: &BTreeMap<String, String>,
    version: &'static str,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let variable = |name: &str| variables.get(name).map(String::as_str);
    let place = WorkDir::place(&config.general.work_dir, variable("STATE_DIRECTORY"), variable("HOME"))?;
    let work_dir = WorkDir::open(&place)?;
    let rng = SystemRandom::new();
    let store = open_store(&config, work_dir.path(), &rng).await?;

    let key_path = or_within(&config.general.secrets_key_file, work_dir.path(), "secrets.key");
    let Secrets { key, ca, token_keys } = secrets::open(&store, &key_path, &rng, SystemTime::now()).await?;
    secrets::keep_admin_token(work_dir.path(), &token_keys.keyring(), &rng, SystemTime::now())?;
    let ca_pem = ca.certificate_pem().to_owned();
    work_dir.write_ca(&ca_pem).context("ca.pem cannot be written into the work directory")?;
    apply_default_mesh(&*store, &config.defaults_mesh).await?;

    let listeners = Listeners::bind(&config)?;
    let ports = listeners.ports();
    let present = store.present();
    let registry = Arc::new(Registry::new(whole_world(&present), present.revision().number, Instant::now()));
    drop(present);
    let mesh_cas = Arc::new(StoredMeshCas::new(store.clone(), key, registry.clone(), SystemTime::now));
    let validity = config.identity.certificate_validity.into();
    let certificates = Arc::new(Certificates::new(mesh_cas.clone(), validity, SystemTime::now));
    let live_streams = Arc::new(LiveStreams::default());
    let metrics = Arc::new(Metrics::new(store.clone(), certificates.clone(), live_streams.clone()));
    let instance = uuid::Uuid::new_v4().to_string();
    let recorder = Arc::new(Recorder::new(store.clone(), instance, config.xds_server.status_flush_interval));
    recorder.close_left_open().await;
    let planner = Arc::new(Planner {
        registry: registry.clone(),
        contents: Contents::default(),
        metrics: metrics.clone(),
        turns: Turns::new(planning_turns()),
        live_streams: live_streams.clone(),
        certificates: certificates.clone(),
    });
    let inspector = Arc::new(Inspector { store: store.clone(), planner: planner.clone() });
    let rotation = rotation(&store, &certificates, &live_streams);
    let admissions = Arc::new(Admissions::new(token_keys.clone()));
    let streams = Streams {
        token_keys: token_keys.clone(),
        admissions: admissions.clone(),
        planner,
        recorder: recorder.clone(),
    };
    let tls = ServerTls::new(ca, server_names(&config))?;

    let mut running = Running::new(stop.clone());
    let xds = xds::Server::new(xds::ServerSettings::default(), streams);
    let serving = xds.serve(listeners.xds, tls.configs(), stop.clone().cancelled_owned());
    running.spawn("xDS", async {
        serving.await;
        anyhow::Ok(())
    });
    let api = api::router(api::Api {
        store: store.clone(),
        token_keys: token_keys.clone(),
        ca_pem: ca_pem.clone(),
        config: config::show(&config),
        version,
        bootstrap: bootstrap_params(&config, &ports, ca_pem),
        hosts: api::HostPolicy::new(
            &config.general.advertised_hostname,
            &ports.api,
            &config.api_server.allowed_hosts,
        ),
        cors: config.api_server.cors.clone(),
        read_only: config.api_server.read_only.then(|| READ_ONLY.to_owned()),
        tokens_enabled: config.data_plane_token_server_enabled,
        limits: api::Limits::default(),
        now: SystemTime::now,
        metrics: metrics.clone(),
        inspector,
        mesh_cas: Arc::new(rotation),
    });
    running.spawn_http("the API", listeners.api, &api);
    running.spawn_http("diagnostics", listeners.diagnostics, &diagnostics::router(metrics));
    running.spawn_background(follow(store.clone(), registry, recorder.clone()));
    let tokens = secrets::follow_tokens(store.clone(), token_keys, admissions, work_dir.path().to_owned());
    running.spawn_background(tokens);
    running.spawn_background(make_mesh_cas(store.clone(), mesh_cas));
    running.spawn_background(forget_certificates(store.clone(), certificates, live_streams));
    running.spawn_background(tls.renew());
    let recording = recorder.clone();
    running.spawn_background(async move { recording.run().await });

    work_dir.write_ports(&ports).context("ports.json cannot be written into the work directory")?;
    info!(
        version,
        api = ?ports.api,
        xds = ?ports.xds,
        diagnostics = ?ports.diagnostics,
        work_dir = %work_dir.path().display(),
        revision = %store.present().revision(),
        "kuma-cp is ready"
    );
    let ended = running.run().await;
    recorder.flush().await;
    info!("kuma-cp has stopped");
    ended
}

fn rotation(
    store: &Arc<dyn Store>,
    certificates: &Arc<Certificates>,
    live_streams: &Arc<LiveStreams>,
) -> Rotation {
    Rotation {
        store: store.clone(),
        certificates: certificates.clone(),
        live_streams: live_streams.clone(),
        started: SystemTime::now(),
    }
}

const READ_ONLY: &str = "the API is read-only: apiServer.readOnly (KUMA_API_SERVER_READ_ONLY) is set";

/// Planning is computing. Where a whole fleet comes back at once, a worker stays free for the API, handshakes and health.
fn planning_turns() -> usize {
    std::thread::available_parallelism().map_or(1, |workers| (workers.get() - 1).max(1))
}

fn or_within(configured: &Path, folder: &Path, name: &str) -> PathBuf {
    if configured.as_os_str().is_empty() { folder.join(name) } else { configured.to_owned() }
}

async fn open_store(
    config: &Config,
    work_dir: &Path,
    rng: &dyn SecureRandom,
) -> anyhow::Result<Arc<dyn Store>> {
    let mut epoch = [0; 4];
    if rng.fill(&mut epoch).is_err() {
        bail!("the operating system gave no random bytes; try again");
    }
    let epoch = u32::from_be_bytes(epoch);
    match config.store.kind {
        StoreKind::Memory => {
            warn!("store.type is memory: what is applied is lost when this process ends");
            Ok(Arc::new(MemoryStore::new(epoch)))
        }
        StoreKind::Embedded => {
            let path = or_within(&config.store.embedded_path, work_dir, "kuma.db");
            let open = tokio::task::spawn_blocking(move || EmbeddedStore::open(&path, epoch));
            Ok(Arc::new(open.await.context("opening the store was interrupted")??))
        }
        StoreKind::Postgres => bail!("there is no PostgreSQL store yet"), // Refused with the configuration already.
    }
}

/// Every socket is bound before anything is served, so that a port in use is a sentence and not a half-started server.
struct Listeners {
    api: Vec<TcpListener>,
    xds: Vec<TcpListener>,
    diagnostics: Vec<TcpListener>,
}

impl Listeners {
    fn bind(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            api: listen::loopback(config.api_server.port, "apiServer.port (KUMA_API_SERVER_PORT)")?,
            xds: listen::loopback(
                config.xds_server.grpc_port,
                "xdsServer.grpcPort (KUMA_XDS_SERVER_GRPC_PORT)",
            )?,
            diagnostics: listen::loopback(
                config.xds_server.diagnostics_port,
                "xdsServer.diagnosticsPort (KUMA_XDS_SERVER_DIAGNOSTICS_PORT)",
            )?,
        })
    }

    fn ports(&self) -> Ports {
        Ports {
            api: listen::addresses(&self.api),
            xds: listen::addresses(&self.xds),
            diagnostics: listen::addresses(&self.diagnostics),
        }
    }
}

/// The names in the server certificate: everything that a client of this machine may call it.
fn server_names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    names.push(config.general.advertised_hostname.clone());
    names.push(config.bootstrap.xds_host.clone());
    names.extend(config.general.server_names.iter().cloned());
    names.sort();
    names.dedup();
    names
}

fn bootstrap_params(config: &Config, ports: &Ports, ca_pem: String) -> BootstrapParams {
    let settings = &config.bootstrap;
    let listens_on = ports.xds.first().map_or(config.xds_server.grpc_port, std::net::SocketAddr::port);
    BootstrapParams {
        admin_address: settings.admin_address,
        admin_port: settings.admin_port,
        admin_access_log_path: settings.admin_access_log_path.clone(),
        xds_host: settings.xds_host.clone(),
        xds_port: if settings.xds_port == 0 { listens_on } else { settings.xds_port },
        xds_connect_timeout: settings.xds_connect_timeout,
        ca_pem,
    }
}
