//! kuma-cp's side: what is there before anything is measured, and the clients that ask for it.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::json;
use testbed::ControlPlane;

use super::entity::{self, READ_MESH, Serial, WRITTEN_MESH};
use super::http1::{self, Connection};
use super::load::Client;

/// Requests under way at a time while the list is filled.
const CONCURRENT_REQUESTS: usize = 64;

pub(crate) fn address(control_plane: &ControlPlane) -> anyhow::Result<SocketAddr> {
    let url = control_plane.url();
    url.trim_start_matches("http://").parse().with_context(|| format!("{url} is no address"))
}

pub(crate) fn list_path() -> String {
    format!("/meshes/{READ_MESH}/dataplanes")
}

/// Of one in the middle of the list.
pub(crate) fn item_path(entities: u32) -> String {
    format!("{}/{}", list_path(), entity::name(entities / 2))
}

/// Makes both meshes: so many Dataplanes to read, and so many to be written again and again.
pub(crate) async fn fill(control_plane: &ControlPlane, read: u32, written: u32) -> anyhow::Result<()> {
    for (mesh, dataplanes) in [(READ_MESH, read), (WRITTEN_MESH, written.max(entity::SERVICES))] {
        control_plane.apply(&json!({"type": "Mesh", "name": mesh})).await?;
        let puts = (0..dataplanes).map(|number| async move {
            let entity = serde_json::from_str(&entity::dataplane(mesh, number, 0))?;
            control_plane.apply(&entity).await
        });
        stream::iter(puts).buffer_unordered(CONCURRENT_REQUESTS).try_collect::<()>().await?;
    }
    Ok(())
}

/// The whole answer to a GET.
pub(crate) async fn fetch(address: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    let mut connection = Connection::open(address).await?;
    connection
        .exchange(&http1::get(address, path), |piece| body.extend_from_slice(piece))
        .await
        .with_context(|| format!("GET http://{address}{path}"))?;
    Ok(body)
}

/// Gets one path, over and over: kuma-cp's or nginx's.
pub(crate) struct Reader {
    connection: Connection,
    request: Vec<u8>,
}

impl Reader {
    pub(crate) async fn open(address: SocketAddr, path: &str) -> anyhow::Result<Self> {
        Ok(Self { connection: Connection::open(address).await?, request: http1::get(address, path) })
    }
}

impl Client for Reader {
    async fn request(&mut self) -> anyhow::Result<()> {
        self.connection.exchange(&self.request, |_| ()).await.map(drop)
    }
}

/// Puts one Dataplane, over and over, and never the same content.
pub(crate) struct Writer {
    connection: Connection,
    address: SocketAddr,
    number: u32,
    serial: Arc<Serial>,
}

impl Writer {
    pub(crate) async fn open(address: SocketAddr, number: u32, serial: Arc<Serial>) -> anyhow::Result<Self> {
        Ok(Self { connection: Connection::open(address).await?, address, number, serial })
    }
}

impl Client for Writer {
    async fn request(&mut self) -> anyhow::Result<()> {
        let path = format!("/meshes/{WRITTEN_MESH}/dataplanes/{}", entity::name(self.number));
        let json = entity::dataplane(WRITTEN_MESH, self.number, self.serial.next());
        self.connection.exchange(&http1::put(self.address, &path, &json), |_| ()).await.map(drop)
    }
}
