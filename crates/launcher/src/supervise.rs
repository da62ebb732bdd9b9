//! An Envoy that runs: says when it is ready, and ends it well.
//!
//! Envoy itself exits at once on SIGTERM. So kuma-dp asks it first to fail its health checks and to drain its listeners,
//! waits until the last connection is gone or the drain time is over, and only then sends the signal. Whatever happens,
//! Envoy's exit status is the one that counts.

use std::convert::Infallible;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use http::StatusCode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use crate::admin::{AdminAddress, AdminError};
use crate::signals::Signals;

/// Envoy has no event for the end of its initialisation or of its last connection: these are asked for, at this pace.
const PACE: Duration = Duration::from_millis(100);
/// Later than this, a person may want to know why Envoy is not ready.
const READY_IS_LATE: Duration = Duration::from_secs(10);
/// What Envoy has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Stays with Envoy until it has ended, by itself or after a signal.
pub(crate) async fn supervise(
    envoy: &mut Child,
    admin: &AdminAddress,
    drain_time: Duration,
    signals: &mut Signals,
) -> io::Result<ExitStatus> {
    tokio::select! {
        status = envoy.wait() => {
            let status = status?;
            error!("Envoy ended by itself, with {status}; its own last lines say why");
            return Ok(status);
        }
        never = announce_ready(admin) => match never {},
        signal = signals.next() => info!(signal, drain_time = ?drain_time, "draining Envoy"),
    }
    tokio::select! {
        status = envoy.wait() => {
            let status = status?;
            warn!("Envoy ended before it was drained, with {status}");
            return Ok(status);
        }
        () = drain(admin, drain_time) => {}
        signal = signals.next() => info!(signal, "the drain is skipped: this is the second signal"),
    }
    end(envoy).await
}

/// Envoy's admin interface is `LIVE` once the first listeners and clusters have come from the control plane.
async fn announce_ready(admin: &AdminAddress) -> Infallible {
    let begin = Instant::now();
    let mut late = false;
    loop {
        let state = admin.get("/ready").await;
        if matches!(state, Ok((StatusCode::OK, _))) {
            info!(%admin, "Envoy is ready");
            return std::future::pending().await;
        }
        if !late && begin.elapsed() > READY_IS_LATE {
            late = true;
            let state = match state {
                Ok((_, state)) => format!("it is {}", state.trim()),
                Err(error) => error.to_string(),
            };
            warn!("Envoy is not ready yet ({state}): it waits for the control plane's xDS server");
        }
        sleep(PACE).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum DrainError {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("Envoy answered {path} with {status}: {body}")]
    Refused { path: &'static str, status: StatusCode, body: String },
}

async fn drain(admin: &AdminAddress, drain_time: Duration) {
    match timeout(drain_time, until_no_connection_is_left(admin)).await {
        Ok(Ok(())) => info!("Envoy is drained: no connection is left"),
        Ok(Err(error)) => warn!("Envoy cannot be drained: {error}"),
        Err(_) => info!("the drain time is over: connections that are left will be cut"),
    }
}

/// `skip_exit`: without it, Envoy would leave when its own drain time is over, and its status would not be that of SIGTERM.
async fn until_no_connection_is_left(admin: &AdminAddress) -> Result<(), DrainError> {
    expect_ok("/healthcheck/fail", admin.post("/healthcheck/fail").await?)?;
    let drain = "/drain_listeners?graceful&skip_exit";
    expect_ok(drain, admin.post(drain).await?)?;
    let stats = "/stats?filter=downstream_cx_active";
    while active_connections(&expect_ok(stats, admin.get(stats).await?)?) > 0 {
        sleep(PACE).await;
    }
    Ok(())
}

fn expect_ok(path: &'static str, answer: (StatusCode, String)) -> Result<String, DrainError> {
    match answer {
        (StatusCode::OK, body) => Ok(body),
        (status, body) => Err(DrainError::Refused { path, status, body: body.trim().to_owned() }),
    }
}

/// The connections of all listeners but the admin interface's own, out of Envoy's statistics in text form. A listener counts
/// its connections once in all and once for each worker thread.
fn active_connections(stats: &str) -> u64 {
    stats
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| {
            name.starts_with("listener.")
                && name.ends_with(".downstream_cx_active")
                && !name.starts_with("listener.admin.")
                && !name.contains(".worker_")
        })
        .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
        .sum()
}

async fn end(envoy: &mut Child) -> io::Result<ExitStatus> {
    if let Some(pid) = envoy.id().and_then(|id| i32::try_from(id).ok()) {
        // It fails only if Envoy has just ended, which the wait below will see.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if let Ok(status) = timeout(GRACE, envoy.wait()).await {
        return status;
    }
    warn!("Envoy has not ended within {} s of SIGTERM: it is killed", GRACE.as_secs());
    envoy.kill().await?;
    envoy.wait().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_those_of_listeners_other_than_the_admin_interface() {
        let stats = "\
cluster.ads_cluster.upstream_cx_active: 1
http.admin.downstream_cx_active: 1
listener.admin.downstream_cx_active: 1
listener.admin.main_thread.downstream_cx_active: 1
listener.127.0.0.1_10001.downstream_cx_active: 2
listener.127.0.0.1_10001.worker_0.downstream_cx_active: 1
listener.127.0.0.1_10001.worker_1.downstream_cx_active: 1
listener.[__1]_10002.downstream_cx_active: 3
listener.127.0.0.1_10001.downstream_cx_length_ms: No recorded values
";
        assert_eq!(active_connections(stats), 5);
        assert_eq!(active_connections(""), 0);
    }
}
