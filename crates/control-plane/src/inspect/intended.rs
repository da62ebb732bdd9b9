//! What a proxy should have, planned anew.

use std::sync::Arc;

use api::{Detail, InspectedCertificate, Source};
use model::{Key, ProxyId, Timestamp};
use plan::{
    Announced, Mtls, Outcome, World,
    envoy::{self, Sources},
};
use serde_json::Value;
use store::Present;
use tracing::error;
use xds::ResourceType;

use crate::{certificates::Certificates, workloads::Workload};

#[derive(Default)]
pub(super) struct Intended {
    pub(super) certificate: Option<InspectedCertificate>,
    pub(super) resources: Vec<IntendedResource>,
    pub(super) warnings: Vec<String>,
}

pub(super) struct IntendedResource {
    pub(super) resource_type: ResourceType,
    pub(super) name: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) sources: Vec<Source>,
    pub(super) content: Option<Value>,
}

/// Of which proxy what is asked.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) proxy: &'a ProxyId,
    pub(super) announced: &'a Announced,
    pub(super) detail: Detail,
}

/// `world` is that of `present`. Nothing is intended for a proxy whose Dataplane is not there.
pub(super) fn intended(
    world: &World,
    present: &Present,
    certificates: &Certificates,
    asked: Asked<'_>,
) -> Intended {
    let Asked { proxy, announced, detail } = asked;
    let Outcome::Plan(plan) = plan::plan(world, proxy, announced).outcome else { return Intended::default() };
    let sources = Sources::new(world, proxy, &plan);
    let resource = |resource: envoy::Resource| {
        Some(IntendedResource {
            resource_type: ResourceType::from_type_url(resource.type_url)?,
            sources: sources.of(&resource).into_iter().filter_map(|key| source(present, key)).collect(),
            content: content(&resource, detail),
            name: resource.name,
            version: resource.version,
        })
    };
    let workload = plan.mtls.as_ref().and_then(|mtls| workload(certificates, proxy, mtls));
    let authority = plan.mtls.as_ref().and_then(|mtls| certificates.mesh_cas.of(&mtls.mesh));
    let ends = authority.as_ref().and_then(|authority| authority.warning((certificates.now)()));
    let secrets = [
        workload.as_ref().map(|workload| workload.without_key()),
        authority.map(|authority| authority.roots.clone()),
    ];
    let all = envoy::resources(&plan).into_iter().chain(secrets.into_iter().flatten());
    let mut resources: Vec<_> = all.filter_map(resource).collect();
    resources.sort_by(|a, b| (a.resource_type, &a.name).cmp(&(b.resource_type, &b.name)));
    Intended {
        certificate: workload.as_ref().map(|workload| shown(workload)),
        resources,
        warnings: plan.warnings().into_iter().chain(ends).collect(),
    }
}

/// The certificate that the proxy was given last: none is signed for whoever only looks.
fn workload(certificates: &Certificates, proxy: &ProxyId, mtls: &Mtls) -> Option<Arc<Workload>> {
    certificates.workloads.of(proxy).filter(|_| !mtls.services.is_empty())
}

fn shown(workload: &Workload) -> InspectedCertificate {
    InspectedCertificate {
        services: workload.services.iter().cloned().collect(),
        not_after: Timestamp::from(workload.not_after),
        renew_at: Timestamp::from(workload.renew_at),
        ca: workload.ca.clone(),
        fingerprint: workload.fingerprint.clone(),
    }
}

/// What the world has, the present that it is of has too.
fn source(present: &Present, key: Key) -> Option<Source> {
    let revision = present.get(&key)?.revision;
    Some(Source { key, revision })
}

fn content(resource: &envoy::Resource, detail: Detail) -> Option<Value> {
    if detail == Detail::Summary {
        return None;
    }
    match resource.to_json_without_secrets() {
        Ok(content) => Some(content),
        Err(error) => {
            error!(r#type = resource.type_url, name = &*resource.name, %error, "a resource of ours has no JSON form");
            None
        }
    }
}
