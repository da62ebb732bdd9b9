//! The servers and tasks that together are the control plane: they live and end together.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long a server may take to end its connections once it is told to stop: longer than the API (10 s) and xDS (5 s)
/// grant their own.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// The servers and tasks that together are the control plane.
pub(crate) struct Running {
    /// End when `stop` is cancelled, and never before.
    servers: JoinSet<anyhow::Result<()>>,
    /// Never end by themselves.
    background: JoinSet<()>,
    stop: CancellationToken,
}

impl Running {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { servers: JoinSet::new(), background: JoinSet::new(), stop }
    }

    pub(crate) fn spawn<E: Into<anyhow::Error> + Send + 'static>(
        &mut self,
        name: &'static str,
        server: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.servers.spawn(async move {
            server.await.map_err(Into::into).with_context(|| format!("{name} has died"))
        });
    }

    pub(crate) fn spawn_http(
        &mut self,
        name: &'static str,
        listeners: Vec<TcpListener>,
        router: &axum::Router,
    ) {
        for listener in listeners {
            let (router, stop) = (router.clone(), self.stop.clone().cancelled_owned());
            self.spawn(
                name,
                async move { api::serve(listener, router, &api::Limits::default(), stop).await },
            );
        }
    }

    pub(crate) fn spawn_background(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.background.spawn(task);
    }

    /// Until `stop`, then until every server has ended its connections. A part that ends before ends everything: half a
    /// control plane is worse than one that its supervisor starts again.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        tokio::select! {
            biased; // A server that has ended because it was told to has not died.
            () = self.stop.cancelled() => {}
            Some(ended) = self.servers.join_next() => {
                ended.context("a server of kuma-cp has died")??;
                bail!("a server of kuma-cp ended by itself");
            }
            Some(ended) = self.background.join_next() => {
                ended.context("a part of kuma-cp has died")?;
                bail!("a part of kuma-cp ended by itself");
            }
        }
        info!("stopping");
        let all_ended = async {
            while let Some(ended) = self.servers.join_next().await {
                if let Ok(Err(error)) = ended {
                    warn!(error = %format_args!("{error:#}"), "while stopping");
                }
            }
        };
        if tokio::time::timeout(STOP_WITHIN, all_ended).await.is_err() {
            warn!("connections were still open and are closed now");
        }
        Ok(())
    }
}
