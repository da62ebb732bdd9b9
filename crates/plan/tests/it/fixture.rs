//! Worlds from resources as users write them.

use std::sync::Arc;

use model::{Key, Kind, ProxyId};
use plan::{Announced, Change, Outcome, Planned, ProxyPlan, World, plan};
use serde_json::Value;

/// A resource becomes what it is in the store: its defaults filled in. It may be one that a write would refuse.
pub(crate) fn change(resource: Value) -> Change {
    let kind = resource["type"].as_str().and_then(Kind::from_name).expect("a resource has a type");
    let mut document = kind.read_document(resource).expect("a resource is of its type");
    document.spec.set_defaults();
    let key = Key::new(kind, document.envelope.mesh, document.envelope.name);
    Change { key, spec: Some(Arc::new(document.spec)) }
}

/// A YAML list of resources.
pub(crate) fn changes(yaml: &str) -> Vec<Change> {
    let resources: Vec<Value> = serde_saphyr::from_str(yaml).expect("a list of resources");
    resources.into_iter().map(change).collect()
}

pub(crate) fn deleted(kind: Kind, name: &str) -> Change {
    Change { key: Key::new(kind, "default", name), spec: None }
}

pub(crate) fn world(yaml: &str) -> World {
    World::default().apply(changes(yaml)).0
}

/// Of a proxy in mesh `default`.
pub(crate) fn planned(world: &World, name: &str) -> Planned {
    plan(world, &ProxyId::new("default", name), &Announced::default())
}

pub(crate) fn proxy_plan(world: &World, name: &str) -> ProxyPlan {
    match planned(world, name).outcome {
        Outcome::Plan(plan) => plan,
        other => panic!("{name} has no plan: {other:?}"),
    }
}

/// A shop: `web-1` sends to `backend`, which is two, one of each version.
pub(crate) const SHOP: &str = "
- { type: Mesh, name: default }
- type: Dataplane
  mesh: default
  name: web-1
  networking:
    inbound: [{ interface: '10.0.0.1:80:8080', tags: { service: web } }]
    outbound: [{ interface: ':9000', service: backend }]
- type: Dataplane
  mesh: default
  name: backend-1
  networking:
    inbound: [{ interface: '10.0.1.1:90:9090', tags: { service: backend, version: v1 } }]
- type: Dataplane
  mesh: default
  name: backend-2
  networking:
    inbound: [{ interface: '10.0.1.2:90:9090', tags: { service: backend, version: v2 } }]
- type: TrafficRoute
  mesh: default
  name: split
  sources: [{ match: { service: web } }]
  destinations: [{ match: { service: backend } }]
  conf:
  - { weight: 90, destination: { service: backend, version: v1 } }
  - { weight: 10, destination: { service: backend, version: v2 } }
";
