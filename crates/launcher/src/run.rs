//! `kuma-dp run`, from the token file to Envoy's exit status.
//!
//! What can be wrong on this machine (token, Envoy, folder) is found before the control plane is asked, and nothing is
//! started before all is known to be there.

use std::env;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::access_log::AccessLog;
use crate::admin::{AdminAddress, AdminError};
use crate::command_line::RunOptions;
use crate::control_plane::{self, BootstrapRequest, ControlPlaneError, Onboarding, Trust};
use crate::envoy::{Envoy, EnvoyError, Places};
use crate::folder::{self, Folder, FolderError};
use crate::logs::Logging;
use crate::metrics::Metrics;
use crate::metrics::server::{self, Listener};
use crate::pauses::Pauses;
use crate::signals::Signals;
use crate::supervise::supervise;
use crate::token::{Owner, Token, TokenError};
use crate::token_watch;
use crate::trust::{Roots, TrustError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Envoy(#[from] EnvoyError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    ControlPlane(#[from] ControlPlaneError),
    #[error(
        "an Envoy that an earlier kuma-dp left behind still listens on {socket} and does not end; end it by hand"
    )]
    Leftover { socket: String },
    #[error(
        "the metrics cannot be served on 127.0.0.1:{port}: {source}; name another port with --metrics-port"
    )]
    MetricsPort { port: u16, source: io::Error },
    #[error("cannot watch over Envoy: {0}")]
    Supervise(#[source] io::Error),
}

/// Ends with Envoy's status; with 0 if it was asked to end before there was an Envoy.
pub(crate) async fn run(
    options: &RunOptions,
    token_file: &Path,
    logging: Logging,
) -> Result<ExitCode, RunError> {
    let moved = Arc::new(Notify::new());
    let mut signals = Signals::listen(Arc::clone(&moved)).map_err(RunError::Supervise)?;
    let owner = Owner { mesh: options.mesh.clone(), name: options.name.clone() };
    let token = Token::read(token_file, &owner, SystemTime::now())?;
    let named_roots = options.ca_cert_file.as_deref().map(Roots::read).transpose()?;
    let envoy = find_envoy(&options.binary_path).await?;
    let folder = Folder::open(options.config_dir.as_deref(), env::var_os("XDG_RUNTIME_DIR"), &owner)?;
    let metrics = Arc::new(Metrics::new());
    let mut access_log = open_access_log(&folder, &owner, &metrics, moved)?;
    end_leftover(&folder).await?;
    serve_metrics(&folder, options.metrics_port, &metrics).await?;

    let onboarding = tokio::select! {
        onboarding = onboard(options, &token, named_roots.as_ref(), &envoy, &folder) => onboarding?,
        signal = signals.next() => {
            info!(signal, "ending before Envoy was started");
            return Ok(ExitCode::SUCCESS);
        }
    };
    folder.write_token(&token)?;
    folder.write_roots(&onboarding.roots)?;
    folder.write_bootstrap(&onboarding.bootstrap.yaml)?;

    let mut child = envoy.start(&folder.bootstrap(), options.drain_time, logging)?;
    info!(
        mesh = owner.mesh,
        name = owner.name,
        pid = child.id(),
        version = envoy.version,
        folder = folder.path(),
        "Envoy is started"
    );
    let status = tokio::select! {
        status = supervise(&mut child, &onboarding.bootstrap.admin, options.drain_time, &mut signals) => status,
        never = token_watch::follow(token_file, &owner, &folder, token) => match never {},
        never = access_log.follow() => match never {},
    };
    access_log.finish().await;
    Ok(exit_code(status.map_err(RunError::Supervise)?))
}

/// Before there is an Envoy, which must never find the pipe without a reader.
fn open_access_log(
    folder: &Folder,
    owner: &Owner,
    metrics: &Arc<Metrics>,
    moved: Arc<Notify>,
) -> Result<AccessLog, FolderError> {
    folder.make_access_log_pipe()?;
    let path = folder.access_log_pipe();
    AccessLog::open(&path, &owner.mesh, metrics, moved).map_err(|source| FolderError::Write { path, source })
}

async fn serve_metrics(folder: &Folder, port: u16, metrics: &Arc<Metrics>) -> Result<(), RunError> {
    let socket = folder.metrics_socket();
    folder::remove_socket(socket.clone())?;
    let listener =
        Listener::on_socket(&socket).map_err(|source| FolderError::Write { path: socket, source })?;
    tokio::spawn(server::serve(listener, Arc::clone(metrics)));
    if port != 0 {
        let listener =
            Listener::on_port(port).await.map_err(|source| RunError::MetricsPort { port, source })?;
        tokio::spawn(server::serve(listener, Arc::clone(metrics)));
    }
    Ok(())
}

async fn find_envoy(asked: &Path) -> Result<Envoy, RunError> {
    let own_program = env::current_exe().ok();
    let search_path = env::var_os("PATH");
    let places = Places {
        beside: own_program.as_deref().and_then(Path::parent),
        working_directory: &env::current_dir().unwrap_or_default(),
        search_path: search_path.as_deref(),
    };
    let envoy = Envoy::find(asked, &places).await?;
    if envoy.is_newer_than_tried {
        warn!(version = envoy.version, "this Envoy is newer than those that kuma-dp has been tried with");
    }
    Ok(envoy)
}

/// Asks until the control plane answers. Only its absence is waited for; whatever it answers is final.
async fn onboard(
    options: &RunOptions,
    token: &Token,
    named_roots: Option<&Roots>,
    envoy: &Envoy,
    folder: &Folder,
) -> Result<Onboarding, ControlPlaneError> {
    let request = BootstrapRequest {
        mesh: &options.mesh,
        name: &options.name,
        admin_port: options.admin_port,
        version: 1,
        work_dir: folder.path(),
        envoy_version: &envoy.version,
        admin_socket: &folder.admin_socket(),
        access_log_pipe: &folder.access_log_pipe(),
    };
    let mut pauses = Pauses::new();
    loop {
        let trust = named_roots.map_or(Trust::Token, Trust::Named);
        let error = match control_plane::ask(&options.cp_address, token, trust, &request).await {
            Err(error @ ControlPlaneError::Away { .. }) => error,
            answer => return answer,
        };
        let pause = pauses.next(fastrand::f64());
        if pause.has_grown {
            warn!("{error}; trying again in {:.1} s", pause.length.as_secs_f64());
        }
        sleep(pause.length).await;
    }
}

/// If an earlier kuma-dp was killed, its Envoy runs on, and the two would share the dataplane's ports. The folder is ours
/// alone, so whoever listens on its admin socket is that Envoy.
async fn end_leftover(folder: &Folder) -> Result<(), RunError> {
    const PATIENCE: Duration = Duration::from_secs(10);
    const PACE: Duration = Duration::from_millis(50);

    let socket = folder.admin_socket();
    let admin = AdminAddress::Socket(PathBuf::from(&socket));
    let deadline = Instant::now() + PATIENCE;
    if admin.post("/quitquitquit").await.is_ok() {
        warn!(socket, "ending an Envoy that an earlier kuma-dp has left behind");
    }
    while !matches!(admin.get("/ready").await, Err(AdminError::Unreachable { .. })) {
        if Instant::now() > deadline {
            return Err(RunError::Leftover { socket });
        }
        sleep(PACE).await;
    }
    // Nobody answers on it any more, and whoever waits for the new one must not find the old.
    Ok(folder::remove_socket(socket)?)
}

/// As a shell counts: a process that a signal ended has 128 and the signal's number.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
