//! The xDS server's TLS: a certificate that the control plane signs itself, renewed while connections live.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use identity::{ControlPlaneCa, SystemRandom};
use rustls::ServerConfig;
use tokio::sync::watch;
use tracing::{error, info};

/// After a failed renewal. The certificate has a third of its life left when the first is tried.
const RETRY_RENEWAL: Duration = Duration::from_mins(1);

/// A sleep does not count the time for which the machine was suspended, so the wall clock is asked now and then.
const LOOK_AT_THE_CLOCK: Duration = Duration::from_hours(1);

/// Signs the certificate that is served, and signs it anew when it is due.
pub struct ServerTls {
    ca: ControlPlaneCa,
    names: Vec<String>,
    renew_at: SystemTime,
    current: watch::Sender<Arc<ServerConfig>>,
}

impl ServerTls {
    /// `names`: DNS names and IP literals that clients may know this server by.
    pub fn new(ca: ControlPlaneCa, names: Vec<String>) -> anyhow::Result<Self> {
        let (config, renew_at) = sign(&ca, &names)?;
        Ok(Self { ca, names, renew_at, current: watch::Sender::new(config) })
    }

    pub fn configs(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.current.subscribe()
    }

    /// Renews for ever. Connections keep the certificate that they began with.
    pub async fn renew(mut self) {
        loop {
            let wait = self.renew_at.duration_since(SystemTime::now()).unwrap_or_default();
            tokio::time::sleep(wait.min(LOOK_AT_THE_CLOCK)).await;
            if wait > LOOK_AT_THE_CLOCK {
                continue;
            }
            match sign(&self.ca, &self.names) {
                Ok((config, renew_at)) => {
                    self.renew_at = renew_at;
                    self.current.send_replace(config);
                    info!("the xDS server's certificate was renewed");
                }
                Err(error) => {
                    error!(error = %format_args!("{error:#}"), "the xDS server's certificate could not be renewed; trying again");
                    tokio::time::sleep(RETRY_RENEWAL).await;
                }
            }
        }
    }
}

fn sign(ca: &ControlPlaneCa, names: &[String]) -> anyhow::Result<(Arc<ServerConfig>, SystemTime)> {
    let certificate = ca
        .sign_server(names, SystemTime::now(), &SystemRandom::new())
        .context("the xDS server's certificate cannot be signed; check general.advertisedHostname, general.serverNames and bootstrapServer.params.xdsHost")?;
    let renew_at = certificate.renew_at;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(certificate.chain, certificate.key)?;
    Ok((Arc::new(config), renew_at))
}
