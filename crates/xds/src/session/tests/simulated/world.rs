//! A small world that changes at random, and never refers to what is not there.
//!
//! A version says what its resource refers to, `7;c1,c2;`, and may say that every client refuses it, `8;;bad`. A cluster
//! that refers to `e` has the endpoints of that name.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Resource, ResourceType, Snapshot};

const NAMES: usize = 5;

/// A cluster and a listener that change, and are always there and always good.
pub(super) const KEPT: &str = "kept";

/// Endpoints that several clusters ask for.
const SHARED: &str = "e";

pub(super) struct World {
    pub(super) random: fastrand::Rng,
    last_version: u64,
    /// How probable it is that something travels alone.
    alone: f64,
    /// How probable it is that something is refused whoever gets it: where some travel alone, one of those.
    bad: f64,
    pub(super) resources: BTreeMap<ResourceType, BTreeMap<String, Arc<Resource>>>,
}

impl World {
    pub(super) fn new(seed: u64, alone: f64, bad: f64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            last_version: 0,
            alone,
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
        if !self.has(ResourceType::Endpoint, SHARED) || self.random.f64() < 0.1 {
            self.put(ResourceType::Endpoint, SHARED, &[]);
        }
        for (resource_type, name) in self.referrers() {
            let refers_to_none = |it: &String| it.starts_with('c') && !self.has(ResourceType::Cluster, it);
            let dangling = self.references(resource_type, &name).iter().any(refers_to_none);
            if resource_type == ResourceType::Listener {
                if dangling {
                    self.put_listener(&name);
                }
            } else if dangling || self.random.f64() < 0.2 {
                let clusters = self.some_clusters();
                self.put(resource_type, &name, &clusters);
            }
        }
    }

    /// Gives every extension another content.
    pub(super) fn change_extensions(&mut self) {
        for name in self.resources[&ResourceType::Extension].keys().cloned().collect::<Vec<_>>() {
            let clusters = self.some_clusters();
            self.put(ResourceType::Extension, &name, &clusters);
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
            let mut references = vec![format!("s{}", i % 2)];
            if i > 2 || (i == 2 && self.random.bool()) {
                references.push(SHARED.to_owned());
            }
            self.put(ResourceType::Cluster, &name, &references);
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
        self.put_listener(&name);
        for (resource_type, name) in [(ResourceType::Extension, extension), (ResourceType::Route, route)] {
            if !self.has(resource_type, &name) {
                let clusters = self.some_clusters();
                self.put(resource_type, &name, &clusters);
            }
        }
    }

    /// One that travels alone names some clusters itself.
    fn put_listener(&mut self, name: &str) {
        let i = name.trim_start_matches('l');
        let mut references = vec![format!("x{i}"), format!("r{i}")];
        let alone = self.goes_alone();
        if alone && self.random.bool() {
            references.extend(self.some_clusters());
        }
        self.put_marked(ResourceType::Listener, name, &references, alone);
    }

    fn some_clusters(&mut self) -> Vec<String> {
        let all = self.resources[&ResourceType::Cluster].keys().cloned().collect::<Vec<_>>();
        all.into_iter().filter(|_| self.random.bool()).collect()
    }

    fn referrers(&self) -> Vec<(ResourceType, String)> {
        [ResourceType::Listener, ResourceType::Extension, ResourceType::Route]
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
        let alone = name != KEPT && self.goes_alone();
        self.put_marked(resource_type, name, references, alone);
    }

    fn goes_alone(&mut self) -> bool {
        self.alone > 0.0 && self.random.f64() < self.alone
    }

    fn put_marked(&mut self, resource_type: ResourceType, name: &str, references: &[String], alone: bool) {
        self.last_version += 1;
        let may_be_bad = match resource_type {
            ResourceType::Secret => false,
            _ if self.alone > 0.0 => alone,
            _ => name != KEPT && resource_type != ResourceType::Endpoint,
        };
        let bad = if may_be_bad && self.random.f64() < self.bad { "bad" } else { "" };
        let version = format!("{};{};{bad}", self.last_version, references.join(","));
        let mut resource = Resource::new(resource_type, Arc::from(name), Arc::from(version), b"");
        if alone {
            resource = resource.travelling_alone();
        }
        if resource_type == ResourceType::Cluster && references.iter().any(|it| it == SHARED) {
            resource = resource.with_endpoints_named(Arc::from(SHARED));
        }
        self.resources.entry(resource_type).or_default().insert(name.to_owned(), Arc::new(resource));
    }
}

/// Under which name a cluster asks for its endpoints.
pub(super) fn endpoints_of(cluster: &str, version: &str) -> String {
    let shared = references(version).into_iter().find(|it| it == SHARED);
    shared.unwrap_or_else(|| cluster.to_owned())
}

pub(super) fn references(version: &str) -> Vec<String> {
    let names = version.split(';').nth(1).unwrap_or_default();
    names.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

pub(super) fn is_bad(version: &str) -> bool {
    version.ends_with(";bad")
}
