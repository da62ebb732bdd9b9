//! The shell: who may open a stream, what bounds there are, and the loop that accepts connections.
//!
//! gRPC is spoken by hyper's HTTP/2 server and [`crate::frames`]. One connection is one task, one stream is another;
//! the stream's response body *is* the session, pulled by HTTP/2 flow control, so that nothing queues for a client that
//! does not read.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
};

use crate::{
    admission::Admission,
    authority::Authority,
    connection,
    context::{Context, Phase, ServerSettings},
    refusals::RefusalLog,
    slots::Slots,
};

/// Serves the aggregated discovery service to the clients that an [`Authority`] lets in.
pub struct Server<A> {
    settings: ServerSettings,
    authority: A,
}

/// As many connections as may wait to be accepted: with 10,000 proxies that come back at once, all of them should.
const BACKLOG: u32 = 4096;

/// After a failed accept, which mostly means that there are no file descriptors left: they come back as connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listening socket with a backlog that fits a fleet, for [`Server::serve`]. To be called in a tokio runtime.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl<A: Authority> Server<A> {
    pub fn new(settings: ServerSettings, authority: A) -> Self {
        Self { settings, authority }
    }

    /// Serves until `shutdown` is ready; then ends every stream with UNAVAILABLE, so that clients go elsewhere, and
    /// returns once all connections are closed, at the latest after [`ServerSettings::shutdown_timeout`].
    ///
    /// A new value of `tls` counts from the next connection; open ones stay. Of the configuration given, ALPN, tickets
    /// and the session cache are set here: only HTTP/2 is spoken, and nobody resumes a session.
    pub async fn serve(
        self,
        listeners: Vec<TcpListener>,
        tls: watch::Receiver<Arc<rustls::ServerConfig>>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let (phase, phases) = watch::channel(Phase::Serving);
        let slots = Slots::new(self.settings.max_connections, self.settings.undisturbed);
        let shutdown_timeout = self.settings.shutdown_timeout;
        let context = Arc::new(Context {
            settings: self.settings,
            authority: self.authority,
            phase: phases,
            refusals: RefusalLog::new(Instant::now()),
            admission: Admission::new(),
        });
        let accepting =
            listeners.into_iter().map(|it| accept(it, tls.clone(), slots.clone(), context.clone()));
        tokio::select! {
            () = shutdown => {}
            // They end with `shutdown` only; without any listener there is nothing to do until then.
            () = async { join_all(accepting).await; std::future::pending().await } => {}
        }
        phase.send_replace(Phase::Draining);
        if tokio::time::timeout(shutdown_timeout, slots.all_free()).await.is_err() {
            phase.send_replace(Phase::Closed);
        }
    }
}

async fn accept<A: Authority>(
    listener: TcpListener,
    mut tls: watch::Receiver<Arc<rustls::ServerConfig>>,
    slots: Arc<Slots>,
    context: Arc<Context<A>>,
) {
    let mut config = config(&tls.borrow_and_update());
    loop {
        let (tcp, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection, will try again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if tls.has_changed().unwrap_or(false) {
            config = self::config(&tls.borrow_and_update());
        }
        match slots.take().await {
            Some(slot) => connection::begin(tcp, from, config.clone(), context.clone(), slot),
            None => context.refusals.note(from, &"as many connections are open as may be"),
        }
    }
}

fn config(config: &Arc<rustls::ServerConfig>) -> Arc<rustls::ServerConfig> {
    let mut config = rustls::ServerConfig::clone(config);
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Arc::new(config)
}
