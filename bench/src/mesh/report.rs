//! The figures, as a table for people and as JSON for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::Usage;
use crate::simulated::{Losses, Topology, Traffic};
use crate::statistics::{last, middle, millis};

#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) topology: Topology,
    /// Of the control plane with an empty mesh.
    pub(crate) empty: Usage,
    pub(crate) registered: Duration,
    pub(crate) tokens_made: Duration,
    pub(crate) storm: Storm,
    pub(crate) writes: Vec<Writes>,
    pub(crate) idle: Idle,
    pub(crate) reconnected: Storm,
    pub(crate) certificates: Certificates,
    pub(crate) end: Usage,
}

/// A proxy keeps its certificate for as long as kuma-cp runs, though it comes back on another stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Certificates {
    /// That need one: all with mTLS, else none.
    pub(crate) proxies: u64,
    pub(crate) signed: u64,
}

/// All proxies at once.
#[derive(Debug)]
pub(crate) struct Storm {
    /// Sorted, one a proxy.
    pub(crate) configured: Vec<Duration>,
    pub(crate) traffic: Traffic,
    pub(crate) lost: Losses,
    /// Of the server.
    pub(crate) cpu: Duration,
    pub(crate) plans: u64,
    pub(crate) resident_kib: u64,
}

/// One kind of write, repeated.
#[derive(Debug)]
pub(crate) struct Writes {
    pub(crate) name: &'static str,
    pub(crate) runs: Vec<WriteRun>,
}

#[derive(Debug)]
pub(crate) struct WriteRun {
    /// Proxies that had to hear of it.
    pub(crate) subscribers: usize,
    /// From the request to its answer.
    pub(crate) http: Duration,
    /// From the answer to the last acknowledgement.
    pub(crate) after_answer: Duration,
    pub(crate) plans: u64,
    pub(crate) traffic: Traffic,
    pub(crate) unexpected: u64,
    pub(crate) first_unexpected: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) elapsed: Duration,
    pub(crate) cpu: Duration,
    pub(crate) store_reads: u64,
    pub(crate) plans: u64,
    pub(crate) responses: u64,
}

impl Figures {
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Topology { proxies, services, outbounds } = self.topology;
        let mtls = if self.has_mtls() { ", mTLS" } else { "" };
        writeln!(out, "{proxies} proxies, {services} services, {outbounds} outbounds each{mtls}\n")?;
        writeln!(
            out,
            "{:<22}{:>10}{:>10}{:>10}{:>12}{:>10}{:>10}{:>8}",
            "all proxies", "last s", "p50 s", "CPU s", "plans", "responses", "KiB", "lost"
        )?;
        writeln!(out, "{:<22}{:>10.2}", "dataplanes put", self.registered.as_secs_f64())?;
        writeln!(out, "{:<22}{:>10.2}", "tokens made", self.tokens_made.as_secs_f64())?;
        self.storm.print(out, "first configuration")?;
        self.reconnected.print(out, "reconnection")?;

        writeln!(
            out,
            "\n{:<20}{:>6}{:>13}{:>15}{:>16}{:>22}{:>11}{:>8}{:>12}",
            "write",
            "runs",
            "subscribers",
            "plans p50/max",
            "HTTP ms p50/max",
            "answer-ACK ms p50/max",
            "responses",
            "KiB",
            "unexpected"
        )?;
        for writes in &self.writes {
            writes.print(out)?;
        }

        let Idle { elapsed, cpu, store_reads, plans, responses } = &self.idle;
        let seconds = elapsed.as_secs_f64();
        let share = if seconds > 0.0 { 100.0 * cpu.as_secs_f64() / seconds } else { 0.0 };
        writeln!(
            out,
            "\nidle for {seconds:.1} s: {share:.1} % of a core, {store_reads} store reads, {plans} plans, {responses} responses"
        )?;
        writeln!(
            out,
            "resident MiB: {} empty, {} with all streams ({} KiB a proxy), {} at the end, {} at most",
            self.empty.resident_kib / 1024,
            self.storm.resident_kib / 1024,
            self.resident_kib_per_proxy(),
            self.end.resident_kib / 1024,
            self.end.peak_kib / 1024
        )?;
        writeln!(out, "certificates signed: {}", self.certificates.signed)?;
        writeln!(out, "server CPU in all: {:.2} s", self.end.cpu.as_secs_f64())
    }

    pub(crate) fn to_json(&self) -> Value {
        let Topology { proxies, services, outbounds } = self.topology;
        json!({
            "proxies": proxies,
            "services": services,
            "outbounds": outbounds,
            "mtls": self.has_mtls(),
            "dataplanesPutSeconds": self.registered.as_secs_f64(),
            "tokensMadeSeconds": self.tokens_made.as_secs_f64(),
            "firstConfiguration": self.storm.to_json(),
            "reconnection": self.reconnected.to_json(),
            "writes": self.writes.iter().map(Writes::to_json).collect::<Vec<_>>(),
            "idle": {
                "seconds": self.idle.elapsed.as_secs_f64(),
                "cpuSeconds": self.idle.cpu.as_secs_f64(),
                "storeReads": self.idle.store_reads,
                "plans": self.idle.plans,
                "responses": self.idle.responses,
            },
            "residentKib": {
                "empty": self.empty.resident_kib,
                "allStreams": self.storm.resident_kib,
                "perProxy": self.resident_kib_per_proxy(),
                "end": self.end.resident_kib,
                "peak": self.end.peak_kib,
            },
            "certificatesSigned": self.certificates.signed,
            "cpuSeconds": self.end.cpu.as_secs_f64(),
            "faults": self.faults(),
        })
    }

    /// What a control plane must not do, whatever its speed.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for writes in &self.writes {
            for run in &writes.runs {
                if run.unexpected > 0 {
                    let first = run.first_unexpected.as_deref().unwrap_or_default();
                    faults.push(format!(
                        "{}: {} responses too many, the first to {first}",
                        writes.name, run.unexpected
                    ));
                }
                if run.plans > run.subscribers as u64 {
                    let (plans, subscribers) = (run.plans, run.subscribers);
                    faults.push(format!("{}: {plans} plans for {subscribers} subscribers", writes.name));
                }
            }
        }
        if self.idle.store_reads > 0 || self.idle.plans > 0 || self.idle.responses > 0 {
            let Idle { store_reads, plans, responses, .. } = &self.idle;
            faults.push(format!("idle: {store_reads} store reads, {plans} plans, {responses} responses"));
        }
        let Certificates { proxies, signed } = self.certificates;
        if signed != proxies {
            faults.push(format!("{signed} certificates signed for {proxies} proxies that need one"));
        }
        faults
    }

    fn has_mtls(&self) -> bool {
        self.certificates.proxies > 0
    }

    fn resident_kib_per_proxy(&self) -> u64 {
        self.storm.resident_kib.saturating_sub(self.empty.resident_kib) / u64::from(self.topology.proxies)
    }
}

impl Storm {
    fn print(&self, out: &mut impl Write, name: &str) -> io::Result<()> {
        writeln!(
            out,
            "{name:<22}{:>10.2}{:>10.2}{:>10.2}{:>12}{:>10}{:>10}{:>8}",
            last(&self.configured).as_secs_f64(),
            middle(&self.configured).as_secs_f64(),
            self.cpu.as_secs_f64(),
            self.plans,
            self.traffic.all_responses(),
            self.traffic.bytes / 1024,
            self.lost.values().sum::<u64>()
        )?;
        for (cause, streams) in &self.lost {
            writeln!(out, "  {streams} lost: {cause}")?;
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let by_type: BTreeMap<String, u64> = self
            .traffic
            .responses
            .iter()
            .map(|(kind, responses)| (format!("{kind:?}"), *responses))
            .collect();
        json!({
            "lastSeconds": last(&self.configured).as_secs_f64(),
            "p50Seconds": middle(&self.configured).as_secs_f64(),
            "cpuSeconds": self.cpu.as_secs_f64(),
            "plans": self.plans,
            "responses": self.traffic.all_responses(),
            "bytes": self.traffic.bytes,
            "responsesByType": by_type,
            "streamsLost": self.lost,
        })
    }
}

impl Writes {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let (http, after, plans) =
            (self.sorted(|run| run.http), self.sorted(|run| run.after_answer), self.plans());
        let pair = |values: &[Duration]| format!("{:.1}/{:.1}", millis(middle(values)), millis(last(values)));
        writeln!(
            out,
            "{:<20}{:>6}{:>13}{:>15}{:>16}{:>22}{:>11}{:>8}{:>12}",
            self.name,
            self.runs.len(),
            self.most(|run| run.subscribers as u64),
            format!("{}/{}", middle(&plans), last(&plans)),
            pair(&http),
            pair(&after),
            self.most(|run| run.traffic.all_responses()),
            self.most(|run| run.traffic.bytes) / 1024,
            self.runs.iter().map(|run| run.unexpected).sum::<u64>()
        )
    }

    fn to_json(&self) -> Value {
        let runs = self.runs.iter().map(|run| {
            json!({
                "subscribers": run.subscribers,
                "httpMilliseconds": millis(run.http),
                "answerToLastAckMilliseconds": millis(run.after_answer),
                "plans": run.plans,
                "responses": run.traffic.all_responses(),
                "bytes": run.traffic.bytes,
                "unexpected": run.unexpected,
            })
        });
        json!({"write": self.name, "runs": runs.collect::<Vec<_>>()})
    }

    fn sorted(&self, figure: impl Fn(&WriteRun) -> Duration) -> Vec<Duration> {
        let mut figures: Vec<_> = self.runs.iter().map(figure).collect();
        figures.sort_unstable();
        figures
    }

    fn plans(&self) -> Vec<u64> {
        let mut plans: Vec<_> = self.runs.iter().map(|run| run.plans).collect();
        plans.sort_unstable();
        plans
    }

    fn most(&self, figure: impl Fn(&WriteRun) -> u64) -> u64 {
        self.runs.iter().map(figure).max().unwrap_or_default()
    }
}
