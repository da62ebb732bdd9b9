//! Which TrafficRoute decides (Kuma 0.3.0): the one whose source and destination together say most about the two.

use std::collections::BTreeMap;

use model::{ANY_VALUE, Rank, SERVICE_TAG, Tags, TrafficRoute};

use crate::{dataplane_view::DataplaneView, reader::Reader};

/// A route that has this Dataplane among its sources.
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a str,
    pub(crate) route: &'a TrafficRoute,
    /// Of the most specific of its sources that matches.
    source: Rank,
}

/// By name. A Dataplane without an inbound is nobody's source.
pub(crate) fn candidates<'a>(dataplane: &DataplaneView, reader: &mut Reader<'a>) -> Vec<Candidate<'a>> {
    if dataplane.inbounds.is_empty() {
        return Vec::new();
    }
    let mut routes = BTreeMap::new();
    for service in dataplane.services().into_iter().chain([ANY_VALUE]) {
        routes.extend(reader.routes_from(service));
    }
    let candidate = |(name, route): (&'a str, &'a TrafficRoute)| {
        let matching = route.sources().iter().filter(|source| dataplane.is_selected_by(source));
        Some(Candidate { name, route, source: matching.map(model::Selector::rank).max()? })
    };
    routes.into_iter().filter_map(candidate).collect()
}

/// Between equals the first by name, so that the answer does not depend on when a route was written.
pub(crate) fn choose<'c, 'a>(candidates: &'c [Candidate<'a>], service: &str) -> Option<&'c Candidate<'a>> {
    let destination = Tags::from([(SERVICE_TAG.to_owned(), service.to_owned())]);
    let mut best: Option<(Rank, &Candidate<'a>)> = None;
    for candidate in candidates {
        let matching =
            candidate.route.destinations().iter().filter(|selector| selector.matches(&destination));
        let Some(rank) = matching.map(model::Selector::rank).max() else { continue };
        let rank = rank + candidate.source;
        if best.is_none_or(|(best, _)| rank > best) {
            best = Some((rank, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}
