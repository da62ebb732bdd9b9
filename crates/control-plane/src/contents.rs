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
