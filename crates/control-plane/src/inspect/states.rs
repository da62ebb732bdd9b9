//! What has become of each resource: what is intended, held against what a stream says.

use std::{collections::BTreeMap, sync::Arc};

use api::{Acknowledged, InspectedResource, ResourceState};
use model::Timestamp;
use xds::{NO_ENDPOINTS, ResourceReport, ResourceType, StreamReport};

use super::intended::IntendedResource;
use crate::live_streams::Refusals;

type Named = (ResourceType, Arc<str>);

/// Everything that is intended, and everything that the client has and should not have, in the order of types and then of
/// names.
pub(super) fn of_stream(
    intended: Vec<IntendedResource>,
    report: &StreamReport,
    refusals: &Refusals,
) -> Vec<InspectedResource> {
    let named = |report: &ResourceReport| (report.resource_type, report.name.clone());
    let mut reports: BTreeMap<Named, &ResourceReport> =
        report.resources.iter().map(|report| (named(report), report)).collect();
    let mut resources = BTreeMap::new();
    for resource in intended {
        let named = (resource.resource_type, resource.name.clone());
        let report = reports.remove(&named);
        resources.insert(named, inspected(resource, report, refusals));
    }
    // Who has been told that there are no endpoints has nothing that could go.
    let is_nothing = |report: &ResourceReport| {
        report.resource_type == ResourceType::Endpoint && report.sent.as_deref() == Some(NO_ENDPOINTS)
    };
    let held = reports.into_iter().filter(|(_, report)| report.sent.is_some() && !is_nothing(report));
    resources.extend(held.map(|(named, report)| (named, leaving(report))));
    resources.into_values().collect()
}

/// Everything that is intended, where there is no stream.
pub(super) fn of_nobody(intended: Vec<IntendedResource>) -> Vec<InspectedResource> {
    intended.into_iter().map(unsent).collect()
}

fn inspected(
    resource: IntendedResource,
    report: Option<&ResourceReport>,
    refusals: &Refusals,
) -> InspectedResource {
    let state = state(&resource.version, report);
    let words = refusals.words(resource.resource_type, &resource.name, &resource.version);
    let error = words.filter(|_| state == ResourceState::Pending).cloned();
    InspectedResource {
        state: if error.is_some() { ResourceState::Rejected } else { state },
        error,
        acknowledged: report.and_then(acknowledged),
        ..unsent(resource)
    }
}

fn unsent(resource: IntendedResource) -> InspectedResource {
    let IntendedResource { resource_type, name, version, sources, content } = resource;
    InspectedResource {
        type_url: resource_type.type_url(),
        name,
        version: Some(version),
        state: ResourceState::NotSent,
        acknowledged: None,
        error: None,
        sources,
        content,
    }
}

/// Without regard to what was refused: that was sent, too.
fn state(version: &Arc<str>, report: Option<&ResourceReport>) -> ResourceState {
    let Some(report) = report else { return ResourceState::NotSent };
    if report.sent.as_ref() != Some(version) {
        return ResourceState::NotSent;
    }
    match &report.acknowledged {
        Some((acknowledged, _)) if acknowledged == version => ResourceState::Synced,
        _ => ResourceState::Pending,
    }
}

fn leaving(report: &ResourceReport) -> InspectedResource {
    InspectedResource {
        type_url: report.resource_type.type_url(),
        name: report.name.clone(),
        version: None,
        state: ResourceState::Removing,
        acknowledged: acknowledged(report),
        error: None,
        sources: Vec::new(),
        content: None,
    }
}

fn acknowledged(report: &ResourceReport) -> Option<Acknowledged> {
    let (version, at) = report.acknowledged.clone()?;
    Some(Acknowledged { version, at: Timestamp::from(at) })
}
