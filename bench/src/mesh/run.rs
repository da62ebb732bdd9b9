//! The steps of one measurement, in order.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use testbed::ControlPlane;

use super::options::Options;
use super::report::{Certificates, Figures, Idle, Storm, WriteRun, Writes};
use super::write::Write;
use crate::process::{self, Usage};
use crate::simulated::{self, Counters, Fleet, HttpApi, Round, Topology};
use crate::under_test;

/// For the status that the control plane records after the last push, before it is watched idling.
const QUIET: Duration = Duration::from_secs(3);

pub fn run(options: &Options) -> anyhow::Result<()> {
    let topology = Topology::new(options.proxies, options.services, options.outbounds)?;
    simulated::allow_connections(options.proxies)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    let (figures, stopped) = runtime.block_on(measure_and_stop(options, topology))?;

    figures.print(&mut io::stdout().lock()).context("the table cannot be printed")?;
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", figures.to_json());
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    stopped.context("stopping")?;
    let faults = figures.faults();
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// The figures, and whether kuma-cp ended as it should: they count even if it did not.
async fn measure_and_stop(
    options: &Options,
    topology: Topology,
) -> anyhow::Result<(Figures, anyhow::Result<()>)> {
    let program = under_test::program(options.kuma_cp.as_deref())?;
    let folder = tempfile::Builder::new().prefix("bench-mesh-").tempdir().context("no temporary folder")?;
    let settings = [("KUMA_LOG_LEVEL", options.log_level.as_str())];
    let mut control_plane = ControlPlane::start(&program, folder.path(), &settings).await?;
    let bench = Bench::new(options, topology, &control_plane);
    let measured = tokio::select! {
        measured = Box::pin(bench.measure()) => {
            measured.with_context(|| format!("the end of kuma-cp's log:\n{}", under_test::log_tail(&control_plane)))
        }
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let stopped = under_test::stop(&mut control_plane).await;
    Ok((measured?, stopped))
}

struct Bench<'a> {
    options: &'a Options,
    topology: Topology,
    control_plane: &'a ControlPlane,
    api: HttpApi<'a>,
}

/// The server's counters and its use of the machine at one moment.
struct Reading {
    counters: Counters,
    usage: Usage,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options, topology: Topology, control_plane: &'a ControlPlane) -> Self {
        Self { options, topology, control_plane, api: HttpApi(control_plane) }
    }

    async fn measure(&self) -> anyhow::Result<Figures> {
        let empty = self.read().await?;
        if self.options.mtls {
            self.api.demand_mtls().await.context("mTLS")?;
        }
        let (registered, ()) = timed(self.api.register(self.topology)).await?;
        say(&format!("{} dataplanes registered", self.topology.proxies));
        let (tokens_made, tokens) = timed(self.api.tokens(self.topology)).await?;

        let (storm, fleet) = self.connect(tokens).await?;
        say(&format!("{} proxies configured", self.topology.proxies));
        let writes = self.writes(&fleet).await?;
        say("writes done");
        let idle = self.idle(&fleet).await?;
        let reconnected = self.reconnect(&fleet).await?;
        let end = self.read().await?;
        Ok(Figures {
            topology: self.topology,
            empty: empty.usage,
            registered,
            tokens_made,
            storm,
            writes,
            idle,
            reconnected,
            certificates: self.certificates(&end.counters),
            end: end.usage,
        })
    }

    async fn connect(&self, tokens: Vec<String>) -> anyhow::Result<(Storm, Fleet)> {
        let before = self.read().await?;
        let fleet = simulated::connect(self.control_plane, self.topology, tokens)?;
        let round = fleet.configured(self.options.deadline()).await?;
        Ok((self.storm(&before, round).await?, fleet))
    }

    async fn reconnect(&self, fleet: &Fleet) -> anyhow::Result<Storm> {
        let before = self.read().await?;
        fleet.reconnect();
        let round = fleet.configured(self.options.deadline()).await.context("reconnecting")?;
        self.storm(&before, round).await
    }

    async fn storm(&self, before: &Reading, round: Round) -> anyhow::Result<Storm> {
        let after = self.read().await?;
        Ok(Storm {
            configured: round.configured,
            traffic: round.traffic,
            lost: round.lost,
            cpu: after.usage.cpu.saturating_sub(before.usage.cpu),
            plans: after.counters.plans - before.counters.plans,
            resident_kib: after.usage.resident_kib,
        })
    }

    /// All of them once, and again.
    async fn writes(&self, fleet: &Fleet) -> anyhow::Result<Vec<Writes>> {
        let of_mtls: &[Write] = if self.options.mtls { &Write::OF_MTLS } else { &[] };
        let all: Vec<Write> = Write::OF_EVERY_MESH.iter().chain(of_mtls).copied().collect();
        let mut rows: Vec<Writes> =
            all.iter().map(|write| Writes { name: write.name(), runs: Vec::new() }).collect();
        for repeat in 0..self.options.repeats {
            for (row, &write) in rows.iter_mut().zip(&all) {
                let run = self.write(fleet, write, repeat).await;
                row.runs.push(run.with_context(|| write.name())?);
            }
        }
        Ok(rows)
    }

    async fn write(&self, fleet: &Fleet, write: Write, repeat: u32) -> anyhow::Result<WriteRun> {
        let before = self.read().await?;
        let (change, by) = write.expected(self.topology, repeat);
        let subscribers = by.len();
        fleet.expect(change, by);

        let sent = Instant::now();
        let answered = write.carry_out(self.api, self.topology, repeat).await?;
        let spread = fleet.spread(self.options.deadline(), self.options.settle()).await?;
        let after = self.read().await?;
        Ok(WriteRun {
            subscribers,
            http: answered - sent,
            // The first proxies may hear of a write before its author does.
            after_answer: spread.last_acknowledged.saturating_duration_since(answered),
            plans: after.counters.plans - before.counters.plans,
            traffic: spread.traffic,
            unexpected: spread.unexpected,
            first_unexpected: spread.first_unexpected,
        })
    }

    async fn idle(&self, fleet: &Fleet) -> anyhow::Result<Idle> {
        tokio::time::sleep(QUIET).await;
        let (before, sent_before) = (self.read().await?, fleet.traffic());
        let began = Instant::now();
        tokio::time::sleep(Duration::from_secs(self.options.idle)).await;
        let (elapsed, after) = (began.elapsed(), self.read().await?);
        Ok(Idle {
            elapsed,
            cpu: after.usage.cpu.saturating_sub(before.usage.cpu),
            store_reads: after.counters.store_reads - before.counters.store_reads,
            plans: after.counters.plans - before.counters.plans,
            responses: fleet.traffic().all_responses() - sent_before.all_responses(),
        })
    }

    fn certificates(&self, counters: &Counters) -> Certificates {
        let proxies = if self.options.mtls { self.topology.proxies } else { 0 };
        Certificates { proxies: proxies.into(), signed: counters.certificates_signed }
    }

    async fn read(&self) -> anyhow::Result<Reading> {
        let counters = self.api.counters().await?;
        let pid = self.control_plane.process().pid().context("kuma-cp has ended")?;
        Ok(Reading { counters, usage: process::usage(pid)? })
    }
}

async fn timed<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(Duration, T)> {
    let began = Instant::now();
    let result = work.await?;
    Ok((began.elapsed(), result))
}

/// Progress, for whoever watches.
fn say(what: &str) {
    eprintln!("bench-mesh: {what}");
}
