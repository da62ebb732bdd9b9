//! Each distinct resource, encoded once and shared by all streams that need it.
//!
//! Found by type, name and version, which together mean one content. The streams own the resources; this only remembers
//! them, so memory grows with what is in use and shrinks when it is not.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use xds::{Resource, ResourceType};

type Content = (ResourceType, Arc<str>, Arc<str>);

#[derive(Debug, Default)]
pub struct Contents(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    by_content: HashMap<Content, Weak<Resource>>,
    /// When so many are remembered, those that nobody uses any more are forgotten: so each insertion pays for one.
    sweep_at: usize,
}

const FIRST_SWEEP: usize = 1024;

impl Contents {
    /// The shared encoding of this resource, made now if nobody has it.
    pub fn share(&self, resource_type: ResourceType, resource: &plan::envoy::Resource) -> Arc<Resource> {
        let content = (resource_type, resource.name.clone(), resource.version.clone());
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = remembered.by_content.get(&content).and_then(Weak::upgrade) {
            return shared;
        }
        drop(remembered);
        // Encoded outside the lock; of two that do so at once, both get the first one's.
        let fresh = Arc::new(encoded(resource_type, resource));
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = remembered.by_content.get(&content).and_then(Weak::upgrade) {
            return shared;
        }
        remembered.by_content.insert(content, Arc::downgrade(&fresh));
        if remembered.by_content.len() >= remembered.sweep_at.max(FIRST_SWEEP) {
            remembered.by_content.retain(|_, resource| resource.strong_count() > 0);
            remembered.sweep_at = 2 * remembered.by_content.len();
        }
        fresh
    }
}

fn encoded(resource_type: ResourceType, resource: &plan::envoy::Resource) -> Resource {
    let (name, version) = (resource.name.clone(), resource.version.clone());
    let encoded = Resource::new(resource_type, name, version, &resource.encode());
    let encoded = match resource.endpoints_named() {
        Some(name) => encoded.with_endpoints_named(name.into()),
        None => encoded,
    };
    if resource.is_of_template() { encoded.travelling_alone() } else { encoded }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Key, Kind, ProxyId};
    use plan::{Announced, Change, Outcome, World, envoy};
    use serde_json::{Value, json};

    use super::*;

    fn change(kind: Kind, name: &str, spec: &Value) -> Change {
        let mut document = json!({"type": kind.name(), "mesh": "default", "name": name});
        for (field, value) in spec.as_object().into_iter().flatten() {
            document[field] = value.clone();
        }
        let document = kind.read_document(document).expect("it is of its kind");
        let key = if kind == Kind::Mesh { Key::mesh(name) } else { Key::new(kind, "default", name) };
        Change { key, spec: Some(Arc::new(document.spec)) }
    }

    #[test]
    fn what_a_template_has_travels_alone_and_says_where_its_endpoints_are_asked_for() {
        let text = json!({
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "extra", "type": "EDS",
            "eds_cluster_config": {"eds_config": {"ads": {}}, "service_name": "elsewhere"},
        });
        let resource = json!({"name": "raw", "version": "v1", "resource": text.to_string()});
        let outbound = json!({"interface": ":9000", "service": "backend"});
        let (world, _) = World::default().apply([
            change(Kind::Mesh, "default", &json!({})),
            change(Kind::Dataplane, "web", &json!({"networking": {"outbound": [outbound]}})),
            change(
                Kind::ProxyTemplate,
                "extra",
                &json!({"conf": {"imports": ["default-proxy"], "resources": [resource]}}),
            ),
        ]);
        let planned = plan::plan(&world, &ProxyId::new("default", "web"), &Announced::default());
        let Outcome::Plan(plan) = planned.outcome else { panic!("there is a plan") };
        let contents = Contents::default();
        let clusters = envoy::resources(&plan).into_iter();
        let clusters = clusters.filter(|it| it.type_url == ResourceType::Cluster.type_url());
        let told: Vec<_> = clusters
            .map(|cluster| {
                let shared = contents.share(ResourceType::Cluster, &cluster);
                (shared.name.to_string(), shared.travels_alone(), shared.endpoints_name().to_string())
            })
            .collect();
        let told: Vec<_> = told.iter().map(|(name, alone, from)| (&**name, *alone, &**from)).collect();
        assert_eq!(told, [("backend", false, "backend"), ("extra", true, "elsewhere")]);
    }

    /// A type that only one of them knew would be planned and never sent.
    #[test]
    fn plans_and_streams_know_the_same_types_in_the_same_order() {
        assert_eq!(envoy::RESOURCE_TYPES, ResourceType::ALL.map(ResourceType::type_url));
    }
}
