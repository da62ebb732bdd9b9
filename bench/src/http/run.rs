//! The steps of one measurement, in order.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use testbed::ControlPlane;

use super::entity::Serial;
use super::etcd::{self, Etcd};
use super::load::{self, Answers, Load};
use super::machine::Machine;
use super::nginx::Nginx;
use super::options::Options;
use super::report::{Figures, Row, Sample};
use super::scenario::{Scenario, Side};
use super::{disk, kuma};
use crate::process;
use crate::under_test;

/// Of the bare disk, once a round.
const DISK_MEASURED: Duration = Duration::from_millis(250);

/// Before the first round, everything once: it opens files, fills caches, and does not count.
const REHEARSAL: Duration = Duration::from_millis(100);

pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    let figures = runtime.block_on(measure_and_stop(options))?;
    figures.print(&mut io::stdout().lock()).context("the table cannot be printed")?;
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", figures.to_json());
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

async fn measure_and_stop(options: &Options) -> anyhow::Result<Figures> {
    let program = under_test::program(options.kuma_cp.as_deref())?;
    let machine = Machine::read(&program, &options.nginx, &options.etcd).await?;
    let mut folder = tempfile::Builder::new();
    folder.prefix("bench-http-");
    let folder = match &options.folder {
        Some(parent) => folder.tempdir_in(parent),
        None => folder.tempdir(),
    };
    let folder = folder.context("no temporary folder")?;
    let mut servers = Servers::start(options, &program, folder.path()).await?;
    let measured = tokio::select! {
        measured = Box::pin(measure(options, machine, &servers, folder.path())) => {
            measured.with_context(|| format!("the end of kuma-cp's log:\n{}", under_test::log_tail(&servers.kuma_cp)))
        }
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let stopped = servers.stop().await;
    let figures = measured?;
    stopped?;
    Ok(figures)
}

struct Servers {
    kuma_cp: ControlPlane,
    nginx: Nginx,
    etcd: Etcd,
}

impl Servers {
    async fn start(options: &Options, kuma_cp: &Path, folder: &Path) -> anyhow::Result<Self> {
        let settings = [("KUMA_LOG_LEVEL", options.log_level.as_str())];
        let kuma_cp = ControlPlane::start(kuma_cp, folder, &settings).await?;
        let written = options.writers.iter().copied().max().unwrap_or_default();
        kuma::fill(&kuma_cp, options.entities, written).await.context("making what is read and written")?;

        let address = kuma::address(&kuma_cp)?;
        let (item, list) = (kuma::item_path(options.entities), kuma::list_path());
        let (one, all) = (kuma::fetch(address, &item).await?, kuma::fetch(address, &list).await?);
        let nginx = Nginx::start(&options.nginx, folder, &[(ITEM_FILE, &one), (LIST_FILE, &all)]).await?;
        for (name, expected) in [(ITEM_FILE, &one), (LIST_FILE, &all)] {
            let served = kuma::fetch(nginx.address, &format!("/{name}")).await?;
            ensure!(served == *expected, "nginx does not serve what kuma-cp does: {name}");
        }
        let etcd = Etcd::start(&options.etcd, folder).await?;
        Ok(Self { kuma_cp, nginx, etcd })
    }

    /// All of them, also when one does not end well.
    async fn stop(&mut self) -> anyhow::Result<()> {
        let nginx = self.nginx.process.terminate().await;
        let etcd = self.etcd.process.terminate().await;
        under_test::stop(&mut self.kuma_cp).await?;
        nginx.context("stopping nginx")?;
        etcd.context("stopping etcd")?;
        Ok(())
    }
}

const ITEM_FILE: &str = "item.json";
const LIST_FILE: &str = "list.json";

async fn measure(
    options: &Options,
    machine: Machine,
    servers: &Servers,
    folder: &Path,
) -> anyhow::Result<Figures> {
    let bench = Bench {
        kuma_cp: kuma::address(&servers.kuma_cp)?,
        nginx: servers.nginx.address,
        etcd: servers.etcd.address,
        kuma_cp_pid: servers.kuma_cp.process().pid().context("kuma-cp has ended")?,
        nginx_pid: servers.nginx.process.pid().context("nginx has ended")?,
        etcd_pid: servers.etcd.process.pid().context("etcd has ended")?,
        entities: options.entities,
        threads: threads(options),
        serial: Arc::default(),
    };
    let mut rows: Vec<Row> = scenarios(options).into_iter().map(Row::new).collect();
    for row in &rows {
        for side in Side::in_turn(0) {
            bench.clone().sample(row.scenario, side, REHEARSAL).await?;
        }
    }
    let mut appends_per_second = Vec::new();
    for round in 0..options.rounds {
        for row in &mut rows {
            for side in Side::in_turn(round) {
                let sample = bench.clone().sample(row.scenario, side, options.measured()).await;
                row.add(side, sample.with_context(|| format!("{} of {side:?}", row.scenario))?);
            }
        }
        let folder = folder.to_owned();
        let disk = tokio::task::spawn_blocking(move || disk::appends_per_second(&folder, DISK_MEASURED));
        appends_per_second.push(disk.await??);
        eprintln!("bench-http: round {} of {}", round + 1, options.rounds);
    }
    Ok(Figures { machine, measured: options.measured(), appends_per_second, rows })
}

fn scenarios(options: &Options) -> Vec<Scenario> {
    let clients = options.readers;
    let reads = [Scenario::GetOne { clients }, Scenario::List { clients, entities: options.entities }];
    let puts = options.writers.iter().map(|&clients| Scenario::Put { clients });
    let is_asked_for =
        |scenario: &Scenario| options.only.is_empty() || options.only.contains(&scenario.kind());
    reads.into_iter().chain(puts).filter(is_asked_for).collect()
}

fn threads(options: &Options) -> NonZeroUsize {
    let half = || thread::available_parallelism().map_or(1, |cores| cores.get() / 2);
    let threads = options.threads.map_or_else(half, |threads| threads as usize);
    NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN)
}

/// Where everybody is.
#[derive(Clone)]
struct Bench {
    kuma_cp: SocketAddr,
    nginx: SocketAddr,
    etcd: SocketAddr,
    kuma_cp_pid: u32,
    nginx_pid: u32,
    etcd_pid: u32,
    entities: u32,
    threads: NonZeroUsize,
    serial: Arc<Serial>,
}

impl Bench {
    async fn sample(self, scenario: Scenario, side: Side, measured: Duration) -> anyhow::Result<Sample> {
        let load = Load { clients: scenario.clients(), measured, threads: self.threads };
        let work = move || {
            let server = self.pid(scenario, side);
            let before = process::cpu_with_children(server)?;
            let answers = self.put_under(load, scenario, side)?;
            let cpu = process::cpu_with_children(server)?.saturating_sub(before);
            anyhow::Ok(Sample::new(answers, measured, cpu))
        };
        tokio::task::spawn_blocking(work).await.context("a load was interrupted")?
    }

    fn pid(&self, scenario: Scenario, side: Side) -> u32 {
        match (side, scenario) {
            (Side::KumaCp, _) => self.kuma_cp_pid,
            (Side::Peer, Scenario::Put { .. }) => self.etcd_pid,
            (Side::Peer, _) => self.nginx_pid,
        }
    }

    fn put_under(&self, load: Load, scenario: Scenario, side: Side) -> anyhow::Result<Answers> {
        let read = |address: SocketAddr, path: String| {
            load::run(load, async |_| kuma::Reader::open(address, &path).await)
        };
        match (scenario, side) {
            (Scenario::GetOne { .. }, Side::KumaCp) => read(self.kuma_cp, kuma::item_path(self.entities)),
            (Scenario::GetOne { .. }, Side::Peer) => read(self.nginx, format!("/{ITEM_FILE}")),
            (Scenario::List { .. }, Side::KumaCp) => read(self.kuma_cp, kuma::list_path()),
            (Scenario::List { .. }, Side::Peer) => read(self.nginx, format!("/{LIST_FILE}")),
            (Scenario::Put { .. }, Side::KumaCp) => load::run(load, async |number| {
                kuma::Writer::open(self.kuma_cp, number, self.serial.clone()).await
            }),
            (Scenario::Put { .. }, Side::Peer) => load::run(load, async |number| {
                etcd::Writer::open(self.etcd, number, self.serial.clone()).await
            }),
        }
    }
}
