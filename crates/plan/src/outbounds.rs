//! Connections of the workload to services, split as the route that decides says.

use std::net::SocketAddr;

use model::{Mesh, SERVICE_TAG, Tags, TrafficRoute};

use crate::{
    Announced, Cluster, Direction, Forwarding, Listener, Outbound, SkippedBecause, WeightedCluster,
    dataplane_view::{DataplaneView, OutboundView},
    draft::Draft,
    logs::Logs,
    reader::Reader,
    routes::{self, Candidate},
};

/// Where connections go that a route gives to nobody. Envoy refuses a split without a weight above 0, and would leave the
/// old listener as it was.
const BLACKHOLE: &str = "blackhole";

/// The weight of an only destination.
const ALL: u32 = 100;

/// An outbound that gets a listener, and what decides about it.
struct Decided<'a> {
    address: SocketAddr,
    service: &'a str,
    route: Option<&'a str>,
    /// Never empty, no weight is 0.
    split: Vec<Share>,
}

struct Share {
    weight: u32,
    target: Target,
}

enum Target {
    Service { service: String, further_tags: Tags },
    Blackhole,
}

pub(crate) fn plan<'a>(
    mesh: &'a Mesh,
    announced: &'a Announced,
    dataplane: &'a DataplaneView,
    reader: &mut Reader<'a>,
    draft: &mut Draft,
) {
    let usable = usable(dataplane, draft);
    if usable.is_empty() {
        return; // So that no route and no log is read, and none wakes this proxy.
    }
    let logs = Logs::new(mesh, dataplane, announced, reader);
    let candidates = routes::candidates(dataplane, reader);
    let decided: Vec<_> =
        usable.into_iter().map(|(address, service)| decide(address, service, &candidates)).collect();
    // Before any service, so that none which happens to have its name can take what a route denies.
    if decided.iter().flat_map(|it| &it.split).any(|share| matches!(share.target, Target::Blackhole)) {
        draft.add_cluster(BLACKHOLE, Cluster::Blackhole);
    }
    for outbound in decided {
        let outbound = plan_outbound(dataplane, outbound, reader, &logs, draft);
        draft.plan.outbounds.push(outbound);
    }
}

fn usable<'a>(dataplane: &'a DataplaneView, draft: &mut Draft) -> Vec<(SocketAddr, &'a str)> {
    let mut usable = Vec::new();
    for (i, outbound) in dataplane.outbounds.iter().enumerate() {
        match listening(outbound, draft) {
            Ok(address) => usable.push((address, outbound.service.as_str())),
            Err(because) => {
                let field = if because == SkippedBecause::NoService { "service" } else { "interface" };
                draft.skip(format!("networking.outbound[{i}].{field}"), because);
            }
        }
    }
    usable
}

fn listening(outbound: &OutboundView, draft: &mut Draft) -> Result<SocketAddr, SkippedBecause> {
    let address = outbound.interface.ok_or(SkippedBecause::BadInterface)?.address();
    if outbound.service.is_empty() {
        return Err(SkippedBecause::NoService);
    }
    draft.listen_on(address)?;
    Ok(address)
}

fn decide<'a>(address: SocketAddr, service: &'a str, candidates: &[Candidate<'a>]) -> Decided<'a> {
    let Some(Candidate { name, route, .. }) = routes::choose(candidates, service) else {
        let target = Target::Service { service: service.to_owned(), further_tags: Tags::new() };
        return Decided { address, service, route: None, split: vec![Share { weight: ALL, target }] };
    };
    Decided { address, service, route: Some(name), split: split(route) }
}

fn split(route: &TrafficRoute) -> Vec<Share> {
    let taking = route.conf().iter().filter(|it| it.weight > 0);
    let shares: Vec<_> =
        taking.map(|it| Share { weight: it.weight, target: Target::new(it.destination()) }).collect();
    if shares.is_empty() { vec![Share { weight: ALL, target: Target::Blackhole }] } else { shares }
}

impl Target {
    /// Who has no `service` has no endpoints either; a share without one is lost rather than given to the others.
    fn new(destination: &Tags) -> Self {
        let mut further_tags = destination.clone();
        match further_tags.remove(SERVICE_TAG) {
            Some(service) if !service.is_empty() => Self::Service { service, further_tags },
            _ => Self::Blackhole,
        }
    }

    /// `service{key=value,...}`, by which statistics and ProxyTemplates know it (Kuma 0.3.0).
    fn cluster_name(&self) -> String {
        let (service, further_tags) = match self {
            Self::Blackhole => return BLACKHOLE.to_owned(),
            Self::Service { service, further_tags } => (service, further_tags),
        };
        if further_tags.is_empty() {
            return service.clone();
        }
        let mut pairs: Vec<_> = further_tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.sort_unstable();
        format!("{service}{{{}}}", pairs.join(","))
    }
}

fn plan_outbound(
    dataplane: &DataplaneView,
    decided: Decided<'_>,
    reader: &mut Reader<'_>,
    logs: &Logs<'_>,
    draft: &mut Draft,
) -> Outbound {
    let Decided { address, service, route, split } = decided;
    let (logs, unlogged) = logs.of(service);
    let clusters = split.into_iter().map(|share| plan_share(share, reader, draft)).collect();
    Outbound {
        service: service.to_owned(),
        route: route.map(str::to_owned),
        listener: Listener {
            name: format!("outbound:{address}"),
            address,
            direction: Direction::Outbound,
            binding: dataplane.binding(),
        },
        forwarding: Forwarding { stat_prefix: service.to_owned(), clusters },
        logs,
        unlogged,
    }
}

fn plan_share(
    Share { weight, target }: Share,
    reader: &mut Reader<'_>,
    draft: &mut Draft,
) -> WeightedCluster {
    let cluster = target.cluster_name();
    if let Target::Service { service, further_tags } = target {
        draft.add_service_cluster(&cluster, service, further_tags, reader);
    }
    WeightedCluster { cluster, weight }
}
