//! What the control plane counts. Prefix `kuma_`, base units, no label per proxy; served at `/metrics` (docs/operations.md).

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use store::Store;
use xds::{Protocol, ResourceType};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabel {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProtocolLabel {
    protocol: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabel {
    route: &'static str,
    method: &'static str,
    status: u16,
}

type Requests = Family<RequestLabel, Histogram, fn() -> Histogram>;

pub struct Metrics {
    registry: Registry,
    /// Plans computed. One endpoint that comes or goes plans its subscribers and nobody else.
    pub plans: Counter,
    /// From the world's reaching a revision to a stream's last ACK of it, in seconds.
    pub convergence: Histogram,
    streams: Family<ProtocolLabel, Gauge>,
    responses: Family<TypeLabel, Counter>,
    rejections: Family<TypeLabel, Counter>,
    requests: Requests,
}

impl Metrics {
    pub fn new(store: Arc<dyn Store>) -> Self {
        let mut registry = Registry::with_prefix("kuma");
        let plans = Counter::default();
        let convergence = seconds();
        let streams = Family::default();
        let responses = Family::default();
        let rejections = Family::default();
        let requests: Requests = Family::new_with_constructor(seconds);
        registry.register("plans", "Plans computed", plans.clone());
        registry.register(
            "xds_convergence_seconds",
            "From a revision to a stream's last ACK of it",
            convergence.clone(),
        );
        registry.register("xds_streams", "Open xDS streams", streams.clone());
        registry.register("xds_responses", "xDS responses sent", responses.clone());
        registry.register("xds_rejections", "xDS responses that Envoy rejected", rejections.clone());
        registry.register("http_request_seconds", "HTTP requests", requests.clone());
        registry.register_collector(Box::new(StoreCollector(store)));
        Self { registry, plans, convergence, streams, responses, rejections, requests }
    }

    /// In the OpenMetrics text format.
    pub fn print(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Counts a stream as open, until it is dropped.
    pub(crate) fn open_stream(&self, protocol: Protocol) -> OpenStream {
        let protocol = match protocol {
            Protocol::Delta => "delta",
            Protocol::StateOfTheWorld => "sotw",
        };
        let open = self.streams.get_or_create(&ProtocolLabel { protocol }).clone();
        open.inc();
        OpenStream(open)
    }

    pub(crate) fn count_responses(&self, resource_type: ResourceType, more: u64) {
        self.responses.get_or_create(&type_label(resource_type)).inc_by(more);
    }

    pub(crate) fn count_rejections(&self, resource_type: ResourceType, more: u64) {
        self.rejections.get_or_create(&type_label(resource_type)).inc_by(more);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl api::RequestObserver for Metrics {
    fn observe(&self, route: &'static str, method: &'static str, status: u16, elapsed: Duration) {
        let label = RequestLabel { route, method, status };
        self.requests.get_or_create(&label).observe(elapsed.as_secs_f64());
    }
}

pub(crate) struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// From 100 microseconds to 26 seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 4.0, 10))
}

fn type_label(resource_type: ResourceType) -> TypeLabel {
    let name = match resource_type {
        ResourceType::Cluster => "cds",
        ResourceType::Endpoint => "eds",
        ResourceType::Secret => "sds",
        ResourceType::Listener => "lds",
        ResourceType::Extension => "ecds",
        ResourceType::Route => "rds",
    };
    TypeLabel { r#type: name }
}

/// Asked when it is scraped, so that an idle control plane counts nothing.
struct StoreCollector(Arc<dyn Store>);

impl fmt::Debug for StoreCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreCollector")
    }
}

impl Collector for StoreCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let revision = ConstGauge::new(i64::try_from(self.0.present().revision().number).unwrap_or(i64::MAX));
        let into =
            encoder.encode_descriptor("store_revision", "The latest revision.", None, MetricType::Gauge)?;
        revision.encode(into)?;
        let reads = ConstCounter::new(self.0.reads());
        let into = encoder.encode_descriptor(
            "store_reads",
            "Statements that read the database.",
            None,
            MetricType::Counter,
        )?;
        reads.encode(into)
    }
}
