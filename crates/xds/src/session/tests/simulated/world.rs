//! A small world that changes at random, and never refers to what is not there.
//!
//! A version says what its resource refers to, `7;c1,c2`, and may say that every client refuses it, `8;bad`.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Resource, ResourceType, Snapshot};

const NAMES: usize = 5;

/// A cluster and a listener that change, and are always there and always good.
pub(super) const KEPT: &str = "kept";

pub(super) struct World {
    pub(super) random: fastrand::Rng,
    last_version: u64,
    /// How probable it is that something is refused whoever gets it.
    bad: f64,
    pub(super) resources: BTreeMap<ResourceType, BTreeMap<String, Arc<Resource>>>,
}

impl World {
    pub(super) fn new(seed: u64, bad: f64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            last_version: 0,
            bad,
            resources: ResourceType::ALL.into_iter().map(|it| (it, BTreeMap::new())).collect(),
        }
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(self.resources.values().flat_map(|it| it.values().cloned()).collect())
    }

    pub(super) fn change(&mut self) {
        for i in 0..NAMES {
            if self.random.f64() < 0.2 {
                self.toggle_cluster(i);
            }
            if self.random.f64() < 0.2 {
                self.toggle_listener(i);
            }
        }
        for resource_type in [ResourceType::Cluster, ResourceType::Listener, ResourceType::Endpoint] {
            if !self.has(resource_type, KEPT) || self.random.f64() < 0.2 {
                self.put(resource_type, KEPT, &[]);
            }
        }
        for secret in ["s0", "s1"] {
            if !self.has(ResourceType::Secret, secret) || self.random.f64() < 0.1 {
                self.put(ResourceType::Secret, secret, &[]);
            }
        }
        for (resource_type, name) in self.referrers() {
            let dangling =
                self.references(resource_type, &name).iter().any(|it| !self.has(ResourceType::Cluster, it));
            if dangling || self.random.f64() < 0.2 {
                let clusters = self.some_clusters();
                self.put(resource_type, &name, &clusters);
            }
        }
    }

    fn toggle_cluster(&mut self, i: usize) {
        let name = format!("c{i}");
        if self.has(ResourceType::Cluster, &name) && self.random.bool() {
            self.remove(ResourceType::Cluster, &name);
            self.remove(ResourceType::Endpoint, &name);
            return;
        }
        if self.random.bool() || !self.has(ResourceType::Cluster, &name) {
            self.put(ResourceType::Cluster, &name, &[format!("s{}", i % 2)]);
        }
        if self.random.bool() || !self.has(ResourceType::Endpoint, &name) {
            self.put(ResourceType::Endpoint, &name, &[]);
        }
    }

    fn toggle_listener(&mut self, i: usize) {
        let (name, extension, route) = (format!("l{i}"), format!("x{i}"), format!("r{i}"));
        if self.has(ResourceType::Listener, &name) && self.random.bool() {
            self.remove(ResourceType::Listener, &name);
            self.remove(ResourceType::Extension, &extension);
            self.remove(ResourceType::Route, &route);
            return;
        }
        self.put(ResourceType::Listener, &name, &[extension.clone(), route.clone()]);
        for (resource_type, name) in [(ResourceType::Extension, extension), (ResourceType::Route, route)] {
            if !self.has(resource_type, &name) {
                let clusters = self.some_clusters();
                self.put(resource_type, &name, &clusters);
            }
        }
    }

    fn some_clusters(&mut self) -> Vec<String> {
        let all = self.resources[&ResourceType::Cluster].keys().cloned().collect::<Vec<_>>();
        all.into_iter().filter(|_| self.random.bool()).collect()
    }

    fn referrers(&self) -> Vec<(ResourceType, String)> {
        [ResourceType::Extension, ResourceType::Route]
            .into_iter()
            .flat_map(|it| self.resources[&it].keys().map(move |name| (it, name.clone())))
            .collect()
    }

    fn references(&self, resource_type: ResourceType, name: &str) -> Vec<String> {
        references(&self.resources[&resource_type][name].version)
    }

    fn has(&self, resource_type: ResourceType, name: &str) -> bool {
        self.resources[&resource_type].contains_key(name)
    }

    fn remove(&mut self, resource_type: ResourceType, name: &str) {
        self.resources.entry(resource_type).or_default().remove(name);
    }

    fn put(&mut self, resource_type: ResourceType, name: &str, references: &[String]) {
        self.last_version += 1;
        let may_be_bad = !matches!(resource_type, ResourceType::Endpoint | ResourceType::Secret);
        let bad = if may_be_bad && name != KEPT && self.random.f64() < self.bad { "bad" } else { "" };
        let version = format!("{};{};{bad}", self.last_version, references.join(","));
        let resource = Resource::new(resource_type, Arc::from(name), Arc::from(version), b"");
        self.resources.entry(resource_type).or_default().insert(name.to_owned(), Arc::new(resource));
    }
}

pub(super) fn references(version: &str) -> Vec<String> {
    let names = version.split(';').nth(1).unwrap_or_default();
    names.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

pub(super) fn is_bad(version: &str) -> bool {
    version.ends_with(";bad")
}
