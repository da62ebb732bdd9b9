//! What a proxy should have, planned anew.

use std::sync::Arc;

use api::{Detail, Source};
use model::{Key, ProxyId};
use plan::{
    Announced, Outcome, World,
    envoy::{self, Sources},
};
use serde_json::Value;
use store::Present;
use tracing::error;
use xds::ResourceType;

#[derive(Default)]
pub(super) struct Intended {
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

/// `world` is that of `present`. Nothing is intended for a proxy whose Dataplane is not there.
pub(super) fn intended(
    world: &World,
    present: &Present,
    proxy: &ProxyId,
    announced: &Announced,
    detail: Detail,
) -> Intended {
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
    Intended {
        resources: envoy::resources(&plan).into_iter().filter_map(resource).collect(),
        warnings: plan.warnings(),
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
