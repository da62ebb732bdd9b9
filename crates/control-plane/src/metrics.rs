//! What the control plane counts. Prefix `kuma_`, base units, no label per proxy; served at `/metrics` (docs/operations.md).

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

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

use crate::{certificates::Certificates, live_streams::LiveStreams};

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
    pub fn new(
        store: Arc<dyn Store>,
        certificates: Arc<Certificates>,
        live_streams: Arc<LiveStreams>,
    ) -> Self {
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
        let signed = certificates.workloads.signed.clone();
        registry.register("certificates_signed", "Certificates signed for proxies", signed);
        registry.register_collector(Box::new(StoreCollector(store)));
        registry.register_collector(Box::new(CertificateCollector { certificates, live_streams }));
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MeshLabel {
    mesh: String,
}

/// How long certificates still live. Asked when it is scraped, because that changes by itself.
struct CertificateCollector {
    certificates: Arc<Certificates>,
    live_streams: Arc<LiveStreams>,
}

impl CertificateCollector {
    /// By mesh: when the first certificate of a proxy that is connected ends.
    fn first_certificate_ends(&self) -> BTreeMap<String, SystemTime> {
        let mut first = BTreeMap::new();
        for proxy in self.live_streams.proxies() {
            let Some(workload) = self.certificates.workloads.of(&proxy) else { continue };
            let of_mesh = first.entry(proxy.mesh.to_string()).or_insert(workload.not_after);
            *of_mesh = workload.not_after.min(*of_mesh);
        }
        first
    }

    /// By mesh: when the CA that signs ends.
    fn ca_ends(&self) -> BTreeMap<String, SystemTime> {
        let all = self.certificates.mesh_cas.all().into_iter();
        all.map(|(mesh, authority)| (mesh, authority.cas.signing().not_after())).collect()
    }
}

impl fmt::Debug for CertificateCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateCollector")
    }
}

impl Collector for CertificateCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = (self.certificates.now)();
        let families = [
            (
                "certificate_expiry_seconds",
                "Until the first certificate of a connected proxy of the mesh ends; below 0 once it has.",
                self.first_certificate_ends(),
            ),
            ("mesh_ca_expiry_seconds", "Until the CA that signs for the mesh ends.", self.ca_ends()),
        ];
        for (name, help, ends) in families {
            let mut into = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (mesh, end) in ends {
                let left = ConstGauge::new(seconds_until(end, now));
                left.encode(into.encode_family(&MeshLabel { mesh })?)?;
            }
        }
        Ok(())
    }
}

fn seconds_until(end: SystemTime, now: SystemTime) -> i64 {
    let whole = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match end.duration_since(now) {
        Ok(left) => whole(left),
        Err(over) => -whole(over.duration()),
    }
}
