//! The figures, as a table for people and as JSON for programs.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::load::Answers;
use super::machine::Machine;
use super::scenario::{Scenario, Side};
use crate::statistics::{Spread, millis, quantile};

#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) machine: Machine,
    /// Of each side of a scenario in a round.
    pub(crate) measured: Duration,
    /// 4 KiB and a sync each, on the disk of the stores; one a round.
    pub(crate) appends_per_second: Vec<f64>,
    pub(crate) rows: Vec<Row>,
}

/// One scenario; a sample a round.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) scenario: Scenario,
    kuma_cp: Vec<Sample>,
    peer: Vec<Sample>,
}

/// One side of a scenario in one round.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Requests answered a second.
    rate: f64,
    latencies: Vec<Duration>,
    /// Of the server, in microseconds a request.
    cpu_micros: f64,
}

impl Sample {
    pub(crate) fn new(answers: Answers, measured: Duration, cpu: Duration) -> Self {
        Self {
            rate: count(answers.latencies.len() as u64) / measured.as_secs_f64(),
            cpu_micros: cpu.as_secs_f64() * 1e6 / count(answers.all.max(1)),
            latencies: answers.latencies,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer requests than 2^52")]
fn count(requests: u64) -> f64 {
    requests as f64
}

impl Row {
    pub(crate) fn new(scenario: Scenario) -> Self {
        Self { scenario, kuma_cp: Vec::new(), peer: Vec::new() }
    }

    pub(crate) fn add(&mut self, side: Side, sample: Sample) {
        match side {
            Side::KumaCp => self.kuma_cp.push(sample),
            Side::Peer => self.peer.push(sample),
        }
    }

    /// Of the rates in one round, kuma-cp's divided by the peer's.
    fn ratios(&self) -> Option<Spread> {
        Spread::of(self.kuma_cp.iter().zip(&self.peer).map(|(ours, peer)| ours.rate / peer.rate))
    }

    fn sides(&self) -> [(&'static str, &[Sample]); 2] {
        [("kuma-cp", &self.kuma_cp), (self.scenario.peer(), &self.peer)]
    }
}

/// What the rounds of one side have in common.
struct Summary {
    rate: Spread,
    p50: Duration,
    p99: Duration,
    cpu_micros: Spread,
}

impl Summary {
    fn of(samples: &[Sample]) -> Option<Self> {
        let mut latencies: Vec<Duration> =
            samples.iter().flat_map(|sample| &sample.latencies).copied().collect();
        latencies.sort_unstable();
        Some(Self {
            rate: Spread::of(samples.iter().map(|sample| sample.rate))?,
            p50: quantile(&latencies, 50)?,
            p99: quantile(&latencies, 99)?,
            cpu_micros: Spread::of(samples.iter().map(|sample| sample.cpu_micros))?,
        })
    }
}

impl Figures {
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let rounds = self.appends_per_second.len();
        writeln!(out, "{}", self.machine)?;
        writeln!(
            out,
            "{rounds} rounds in turns, {:?} each; median (least .. most) of the rounds",
            self.measured
        )?;
        if let Some(appends) = Spread::of(self.appends_per_second.iter().copied()) {
            writeln!(out, "the bare disk: {} appends of 4 KiB + fdatasync a second", whole(appends))?;
        }
        for row in &self.rows {
            writeln!(
                out,
                "\n{:<28}{:>26}{:>9}{:>9}{:>20}",
                row.scenario.to_string(),
                "requests/s",
                "p50 ms",
                "p99 ms",
                "server CPU us/req"
            )?;
            for (name, samples) in row.sides() {
                let Some(summary) = Summary::of(samples) else {
                    writeln!(out, "  {name:<26}{:>26}", "nothing answered")?;
                    continue;
                };
                let (p50, p99) = (millis(summary.p50), millis(summary.p99));
                let (rate, cpu) = (whole(summary.rate), summary.cpu_micros.middle);
                writeln!(out, "  {name:<26}{rate:>26}{p50:>9.2}{p99:>9.2}{cpu:>20.1}")?;
            }
            if let Some(Spread { least, middle, most }) = row.ratios() {
                let ratio = format!("{middle:.2} ({least:.2} .. {most:.2})");
                writeln!(out, "  {:<26}{ratio:>26}", format!("kuma-cp / {}", row.scenario.peer()))?;
            }
        }
        Ok(())
    }

    pub(crate) fn to_json(&self) -> Value {
        let Machine { cores, kernel, kuma_cp, nginx, etcd } = &self.machine;
        json!({
            "machine": {"cores": cores, "kernel": kernel},
            "versions": {"kuma-cp": kuma_cp, "nginx": nginx, "etcd": etcd},
            "measuredSeconds": self.measured.as_secs_f64(),
            "appendsPerSecond": self.appends_per_second,
            "scenarios": self.rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Row {
    fn to_json(&self) -> Value {
        let sides = self.sides().map(|(name, samples)| {
            let summary = Summary::of(samples);
            json!({
                "server": name,
                "requestsPerSecond": samples.iter().map(|sample| sample.rate).collect::<Vec<_>>(),
                "cpuMicrosecondsPerRequest": samples.iter().map(|sample| sample.cpu_micros).collect::<Vec<_>>(),
                "p50Milliseconds": summary.as_ref().map(|summary| millis(summary.p50)),
                "p99Milliseconds": summary.as_ref().map(|summary| millis(summary.p99)),
            })
        });
        json!({"scenario": self.scenario.to_string(), "sides": sides, "ratio": self.ratios().map(|it| it.middle)})
    }
}

fn whole(Spread { least, middle, most }: Spread) -> String {
    format!("{middle:.0} ({least:.0} .. {most:.0})")
}
