//! What kuma-dp counts. Prefix `kuma_dp_`; served at `/metrics` ([`server`]) and described in docs/operations.md.

pub(crate) mod server;

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::access_log::dropped::Dropped;

/// Of whom, or of what, a call was refused. Each pair is kept as long as the process lives: whoever makes them bounds them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
pub(crate) struct Denied {
    pub(crate) source: String,
    pub(crate) destination: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    denied: Family<Denied, Counter>,
    lines_dropped: Family<Reason, Counter>,
    lines_delivered: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("kuma_dp");
        let denied = Family::default();
        let lines_dropped = Family::<Reason, Counter>::default();
        // From the start, so that the first one is seen as an increase.
        for dropped in Dropped::ALL {
            lines_dropped.get_or_create(&Reason { reason: dropped.reason() }).inc_by(0);
        }
        registry.register("denied", "Calls that Envoy refused", denied.clone());
        registry.register(
            "access_log_lines_dropped",
            "Lines of the access log that could not be used or delivered",
            lines_dropped.clone(),
        );
        let lines_delivered = Counter::default();
        registry.register(
            "access_log_lines",
            "Lines of TrafficLogs that were written to files and collectors",
            lines_delivered.clone(),
        );
        Self { registry, denied, lines_dropped, lines_delivered }
    }

    pub(crate) fn count_denied(&self, denied: &Denied) {
        self.denied.get_or_create(denied).inc();
    }

    pub(crate) fn count_dropped(&self, dropped: Dropped, lines: usize) {
        self.lines_dropped.get_or_create(&Reason { reason: dropped.reason() }).inc_by(lines as u64);
    }

    pub(crate) fn count_delivered(&self, lines: usize) {
        self.lines_delivered.inc_by(lines as u64);
    }

    /// In the OpenMetrics text format.
    pub(crate) fn print(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
