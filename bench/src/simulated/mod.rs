//! Proxies by the thousand, simulated: each speaks the protocol as Envoy does, and moves no traffic.
//!
//! They stand in a known [`Topology`], so that it is known beforehand who must hear of which write, and note on one board
//! what they receive, so that it can be counted to the byte. They trust the control plane's CA alone, authenticate with
//! tokens of their own, and come back by themselves when a stream breaks, with all that they know.

use std::{fs, sync::Arc};

use anyhow::{Context as _, ensure};
use testbed::ControlPlane;

mod topology;

mod http_api;

mod board;
mod change;
mod conversation;
mod fleet;
mod proxy;

pub use board::{Losses, Traffic};
pub use change::Change;
pub use conversation::ResourceType;
pub use fleet::{Fleet, Round, Spread};
pub use http_api::{Counters, HttpApi};
pub use topology::Topology;

/// Beside one connection a proxy: two ends of every connection, but only one here; and some for everything else.
const OTHER_FILES: u64 = 1000;

/// Lets this process, and what it starts, open as many files as so many proxies need.
///
/// # Errors
/// When the machine does not allow that many: a sentence with the way out.
pub fn allow_connections(proxies: u32) -> anyhow::Result<()> {
    let needed = u64::from(proxies) + OTHER_FILES;
    // Whoever comes back opens a connection while the one before it is still being closed.
    let better = needed + u64::from(proxies);
    let limit = rlimit::increase_nofile_limit(better).context("the limit of open files cannot be read")?;
    ensure!(
        limit >= needed,
        "{needed} open files are needed for {proxies} proxies, and {limit} are allowed: raise the limit with `ulimit -Hn`"
    );
    Ok(())
}

/// Opens a stream a token, all at once. The tokens are of the topology's dataplanes, in their order.
pub fn connect(
    control_plane: &ControlPlane,
    topology: Topology,
    tokens: Vec<String>,
) -> anyhow::Result<Fleet> {
    let ca = control_plane.work_dir().join("ca.pem");
    let ca_pem = fs::read_to_string(ca).context("kuma-cp wrote no ca.pem")?;
    let surroundings = proxy::Surroundings {
        topology,
        xds: control_plane.xds(),
        tls: proxy::tls(&ca_pem)?,
        extensions: proxy::extensions(),
        board: board::Board::default(),
    };
    Ok(Fleet::start(Arc::new(surroundings), tokens))
}
