//! A transfer that lives: one TCP connection through two Envoys carries every byte, whatever is done to the mesh meanwhile.
//!
//! The proxies have a drain time of a second, and a phase is over when more bytes have passed than the rate allows in two.
//! So a listener that drained, in whatever phase, would have cut the connection before the next one: that it would is the
//! last test here.

use std::{net::SocketAddr, time::Duration};

use fastrand::Rng;
use serde_json::json;
use testbed::{Answer, Launch, Programs, Service};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::shop::{Shop, route, until};

const SEED: u64 = 0x6b75_6d61;

/// Each way: a chunk a tick, and never more. Bytes.
const CHUNK: usize = 4096;
const TICKS_PER_SECOND: u32 = 64;

pub(crate) const DRAIN_TIME: &str = "1s";

/// What the rate allows in two seconds: twice the drain time. Bytes.
const PHASE: u64 = 2 * TICKS_PER_SECOND as u64 * CHUNK as u64;

/// How long a phase may take on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Random bytes under way to a service that sends them back, all on one connection.
pub(crate) struct Transfer {
    /// How many have come back as they were sent.
    returned: watch::Receiver<u64>,
    end: oneshot::Sender<()>,
    writer: JoinHandle<std::io::Result<u64>>,
    reader: JoinHandle<Result<(), String>>,
}

impl Transfer {
    pub(crate) async fn start(service: SocketAddr) -> Self {
        let (from, to) = TcpStream::connect(service).await.unwrap().into_split();
        let (progress, returned) = watch::channel(0);
        let (end, ended) = oneshot::channel();
        let writer = tokio::spawn(write(to, ended));
        Self { returned, end, writer, reader: tokio::spawn(read(from, progress)) }
    }

    /// Waits until a phase's worth more has come back than when this is called.
    pub(crate) async fn passes(&mut self, phase: &str) {
        let enough = *self.returned.borrow() + PHASE;
        let passing = async { self.returned.wait_for(|returned| *returned >= enough).await.is_ok() };
        let passed = timeout(PATIENCE, passing).await;
        if !passed.unwrap_or_else(|_| panic!("{phase}: the connection stands still")) {
            let end = (&mut self.reader).await.unwrap();
            panic!("{phase}: the connection was cut at byte {}: {end:?}", *self.returned.borrow());
        }
    }

    /// Sends no more, and waits until everything has come back.
    pub(crate) async fn finish(self) {
        self.end.send(()).expect("the connection is open until its client ends it");
        let sent = timeout(PATIENCE, self.writer).await.expect("it ends").unwrap().unwrap();
        timeout(PATIENCE, self.reader).await.expect("it ends").unwrap().unwrap();
        assert_eq!(*self.returned.borrow(), sent, "as many bytes as were sent, and no more");
    }

    /// Waits until somebody else has cut it.
    pub(crate) async fn cut(mut self) {
        let cut = timeout(PATIENCE, async { while self.returned.changed().await.is_ok() {} });
        cut.await.expect("the connection is cut");
    }
}

/// How many bytes it has written when it is told to end.
async fn write(mut to: OwnedWriteHalf, mut ended: oneshot::Receiver<()>) -> std::io::Result<u64> {
    let mut random = Rng::with_seed(SEED);
    let mut ticks = interval(Duration::from_secs(1) / TICKS_PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut written = 0;
    loop {
        tokio::select! {
            _ = &mut ended => break,
            _ = ticks.tick() => {
                let chunk: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(CHUNK).collect();
                to.write_all(&chunk).await?;
                written += chunk.len() as u64;
            }
        }
    }
    to.shutdown().await?;
    Ok(written)
}

/// Compares until the connection ends in order.
async fn read(mut from: OwnedReadHalf, progress: watch::Sender<u64>) -> Result<(), String> {
    let mut random = Rng::with_seed(SEED);
    let mut buffer = [0; CHUNK];
    loop {
        let count = from.read(&mut buffer).await.map_err(|error| error.to_string())?;
        if count == 0 {
            return Ok(());
        }
        if let Some(at) = buffer[..count].iter().position(|byte| *byte != random.u8(..)) {
            return Err(format!("byte {} has changed on its way", *progress.borrow() + at as u64));
        }
        progress.send_modify(|returned| *returned += count as u64);
    }
}

/// web and backend v1, each with its Envoy, and a transfer from the one to the other.
async fn transferring(programs: Programs, network: u8) -> (Shop, Service, Transfer) {
    let mut shop = Shop::open_with(programs, network, &[]).await;
    let backend = shop.outbound(10_001);
    let echo = Service::start("backend-v1", Answer::Echo).await.unwrap();
    shop.register_before(&echo, "backend-v1", json!({"service": "backend", "version": "v1"}), &[]).await;
    shop.register("web", json!({"service": "web"}), &[(backend, "backend")]).await;
    for name in ["backend-v1", "web"] {
        shop.launch(Launch { drain_time: DRAIN_TIME, ..Launch::of(name) }).await;
    }
    let mut transfer = Transfer::start(backend).await;
    transfer.passes("at rest").await;
    (shop, echo, transfer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_outlives_edits_endpoints_a_crash_and_a_restart_byte_for_byte() {
    outlives_everything(Programs::find().unwrap(), 106).await;
}

pub(crate) async fn outlives_everything(programs: Programs, network: u8) {
    let (mut shop, echo, mut transfer) = transferring(programs, network).await;

    edit_routes(&shop).await;
    transfer.passes("after a hundred edits of its route").await;
    endpoints_come_and_go(&shop).await;
    transfer.passes("after endpoints have come and gone").await;

    shop.control_plane.kill_9().await.unwrap();
    transfer.passes("while kuma-cp is killed").await;
    shop.control_plane.start_again().await.unwrap();
    shop.until_online(2).await;
    shop.route(60, 40).await;
    transfer.passes("after kuma-cp has come back from kill -9").await;

    assert!(shop.control_plane.terminate().await.unwrap().success());
    transfer.passes("while kuma-cp is stopped").await;
    shop.control_plane.start_again().await.unwrap();
    shop.until_online(2).await;
    shop.route(40, 60).await;
    transfer.passes("after kuma-cp has come back from SIGTERM").await;

    for proxy in &shop.proxies {
        for stat in ["listener_modified", "listener_removed", "total_listeners_draining"] {
            let stat = format!("listener_manager.{stat}");
            assert_eq!(proxy.stat(&stat).await.unwrap(), 0, "{stat}");
        }
    }
    transfer.finish().await;
    assert_eq!(echo.connections(), 1, "all of it on the one connection");
}

/// A hundred in a row: of every ten, one is waited for, and the others overtake each other.
async fn edit_routes(shop: &Shop) {
    for edit in 1..=100 {
        if edit % 10 == 0 {
            shop.route(edit, 101 - edit).await;
        } else {
            shop.control_plane.apply(&route(edit, 101 - edit)).await.unwrap();
        }
    }
    // The last one is its own proof: no edit before it has this weight.
    shop.route(137, 1).await;
    let web = &shop.proxies[1];
    until("the last edit to count", async || {
        web.admin("/config_dump").await.unwrap().contains("\"weight\": 137")
    })
    .await;
}

/// Of both versions, so that the cluster of the connection gets them, too.
async fn endpoints_come_and_go(shop: &Shop) {
    let listed = async |address: &str| {
        shop.proxies[1].admin("/clusters").await.unwrap().contains(&format!("::{address}::"))
    };
    for round in 0..10 {
        for version in ["v1", "v2"] {
            let (name, address) =
                (format!("backend-{version}-{round}"), format!("192.0.2.{}:8080", 1 + round));
            let inbound = json!([{"interface": format!("{address}:80"), "tags": {"service": "backend", "version": version}}]);
            let networking = json!({"inbound": inbound});
            let dataplane =
                json!({"type": "Dataplane", "mesh": "default", "name": name, "networking": networking});
            shop.control_plane.apply(&dataplane).await.unwrap();
            until("the endpoint to come", async || listed(&address).await).await;
            shop.control_plane.delete(&format!("/meshes/default/dataplanes/{name}")).await.unwrap();
            until("the endpoint to go", async || !listed(&address).await).await;
        }
    }
}

/// What the transfer above would meet if an edit touched its listener, and that the drain time is the one asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_cut_when_its_listener_has_drained() {
    let (shop, _echo, transfer) = transferring(Programs::find().unwrap(), 107).await;
    let mut web = shop.control_plane.get("/meshes/default/dataplanes/web").await.unwrap();
    web["networking"]["outbound"] = json!([]);
    shop.control_plane.apply(&web).await.unwrap();
    transfer.cut().await;
    assert_eq!(shop.proxies[1].stat("listener_manager.listener_removed").await.unwrap(), 1);
}
