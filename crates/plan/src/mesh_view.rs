//! One mesh, indexed for planning: by name, by service, by the services that policies name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{
    Key, Kind, Mesh, ProxyId, ProxyTemplate, Spec, Tags, TrafficLog, TrafficPermission, TrafficRoute,
};
use rpds::RedBlackTreeMapSync;

use crate::{
    EndpointSet, Part,
    dataplane_view::DataplaneView,
    endpoints::{EndpointChanges, ServiceEndpoints},
    policy_index::PolicyIndex,
    template_view::TemplateView,
};

/// What is known of an entity by its name.
#[derive(Debug, PartialEq)]
pub(crate) enum Entity<T> {
    /// Nothing was ever said of it.
    Unknown,
    Present(Arc<T>),
    /// It was deleted, and not made again.
    Deleted,
}

/// Cloned in constant time: clones share what does not change.
#[derive(Clone, Debug)]
pub(crate) struct MeshView {
    name: Arc<str>,
    settings: Entity<Mesh>,
    dataplanes: RedBlackTreeMapSync<Arc<str>, Entity<DataplaneView>>,
    /// By the exact value of `service`. A service without endpoints is not in it.
    endpoints: RedBlackTreeMapSync<Arc<str>, ServiceEndpoints>,
    /// By the service of their sources.
    routes: PolicyIndex<TrafficRoute>,
    /// By the service of their destinations.
    permissions: PolicyIndex<TrafficPermission>,
    /// By the service of their sources.
    logs: PolicyIndex<TrafficLog>,
    /// By the service of their selectors.
    templates: PolicyIndex<TemplateView>,
}

/// The last change of each entity of a mesh.
pub(crate) type LastChanges = BTreeMap<Key, Option<Arc<Spec>>>;

/// How the endpoints of each service change.
type ServiceChanges = BTreeMap<Arc<str>, EndpointChanges>;

impl MeshView {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            settings: Entity::Unknown,
            dataplanes: RedBlackTreeMapSync::new_sync(),
            endpoints: RedBlackTreeMapSync::new_sync(),
            routes: PolicyIndex::default(),
            permissions: PolicyIndex::default(),
            logs: PolicyIndex::default(),
            templates: PolicyIndex::default(),
        }
    }

    pub(crate) fn settings(&self) -> &Entity<Mesh> {
        &self.settings
    }

    pub(crate) fn dataplane(&self, name: &str) -> &Entity<DataplaneView> {
        self.dataplanes.get(name).unwrap_or(&Entity::Unknown)
    }

    /// By name, also those that were deleted.
    pub(crate) fn dataplanes(&self) -> impl Iterator<Item = (&Arc<str>, &Entity<DataplaneView>)> {
        self.dataplanes.iter()
    }

    /// The endpoints of a service that have these tags.
    pub(crate) fn endpoints(&self, service: &str, tags: &Tags) -> EndpointSet {
        self.endpoints.get(service).map_or_else(EndpointSet::empty, |endpoints| endpoints.select(tags))
    }

    /// The routes with a source selector for this `service`, by name.
    pub(crate) fn routes_from<'a>(
        &'a self,
        service: &str,
    ) -> impl Iterator<Item = (&'a str, &'a TrafficRoute)> {
        self.routes.of(service)
    }

    /// The permissions with a destination selector for this `service`, by name.
    pub(crate) fn permissions_to<'a>(
        &'a self,
        service: &str,
    ) -> impl Iterator<Item = (&'a str, &'a TrafficPermission)> {
        self.permissions.of(service)
    }

    /// The logs with a source selector for this `service`, by name.
    pub(crate) fn logs_from<'a>(
        &'a self,
        service: &str,
    ) -> impl Iterator<Item = (&'a str, &'a TrafficLog)> + use<'a> {
        self.logs.of(service)
    }

    /// The templates with a selector for this `service`, by name.
    pub(crate) fn templates_for<'a>(
        &'a self,
        service: &str,
    ) -> impl Iterator<Item = (&'a str, &'a TemplateView)> + use<'a> {
        self.templates.of(service)
    }

    /// Takes the changes over; the parts that have another content now.
    pub(crate) fn apply(&mut self, changes: LastChanges) -> BTreeSet<Part> {
        let mut parts = BTreeSet::new();
        // Collected over all Dataplanes and applied once a service: the endpoints of a service have one next content,
        // however many of its Dataplanes change together, and one that moves between two of them changes nothing.
        let mut service_changes = ServiceChanges::new();
        for (Key { kind, name, .. }, spec) in changes {
            match (kind, spec.as_deref()) {
                (Kind::Mesh, None) => parts.extend(self.put_settings(Entity::Deleted)),
                (Kind::Mesh, Some(Spec::Mesh(it))) => parts.extend(self.put_settings(present(it.clone()))),
                (Kind::Dataplane, None) => {
                    parts.extend(self.put_dataplane(name, Entity::Deleted, &mut service_changes));
                }
                (Kind::Dataplane, Some(Spec::Dataplane(it))) => {
                    let view = present(DataplaneView::new(it));
                    parts.extend(self.put_dataplane(name, view, &mut service_changes));
                }
                (Kind::TrafficRoute, None) => parts.extend(self.put_route(&name, None)),
                (Kind::TrafficRoute, Some(Spec::TrafficRoute(it))) => {
                    parts.extend(self.put_route(&name, Some(it)));
                }
                (Kind::TrafficPermission, None) => parts.extend(self.put_permission(&name, None)),
                (Kind::TrafficPermission, Some(Spec::TrafficPermission(it))) => {
                    parts.extend(self.put_permission(&name, Some(it)));
                }
                (Kind::TrafficLog, None) => parts.extend(self.put_log(&name, None)),
                (Kind::TrafficLog, Some(Spec::TrafficLog(it))) => parts.extend(self.put_log(&name, Some(it))),
                (Kind::ProxyTemplate, None) => parts.extend(self.put_template(&name, None)),
                (Kind::ProxyTemplate, Some(Spec::ProxyTemplate(it))) => {
                    parts.extend(self.put_template(&name, Some(it)));
                }
                (_, Some(spec)) => {
                    debug_assert_eq!(spec.kind(), kind, "a change's spec is of its key's kind");
                }
            }
        }
        parts.extend(self.put_endpoints(service_changes));
        parts
    }

    /// See [`crate::World::forget_deleted`].
    pub(crate) fn forget_deleted(&mut self, is_remembered: &impl Fn(&Key) -> bool) {
        let is_forgotten = |kind, name: &Arc<str>| {
            !is_remembered(&Key { kind, mesh: self.name.clone(), name: name.clone() })
        };
        let deleted = self.dataplanes.iter().filter(|(_, it)| matches!(it, Entity::Deleted));
        let forgotten: Vec<_> = deleted
            .filter(|(name, _)| is_forgotten(Kind::Dataplane, name))
            .map(|(name, _)| name.clone())
            .collect();
        for name in forgotten {
            self.dataplanes.remove_mut(&name);
        }
        if matches!(self.settings, Entity::Deleted) && is_forgotten(Kind::Mesh, &self.name) {
            self.settings = Entity::Unknown;
        }
    }

    /// Whether nothing is known of it.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.settings, Entity::Unknown)
            && self.dataplanes.is_empty()
            && self.endpoints.is_empty()
            && self.routes.is_empty()
            && self.permissions.is_empty()
            && self.logs.is_empty()
            && self.templates.is_empty()
    }

    fn put_settings(&mut self, next: Entity<Mesh>) -> Option<Part> {
        if self.settings == next {
            return None;
        }
        self.settings = next;
        Some(Part::Mesh(self.name.clone()))
    }

    fn put_dataplane(
        &mut self,
        name: Arc<str>,
        next: Entity<DataplaneView>,
        service_changes: &mut ServiceChanges,
    ) -> Option<Part> {
        let before = self.dataplane(&name);
        if *before == next {
            return None;
        }
        count_endpoints(before, -1, service_changes);
        count_endpoints(&next, 1, service_changes);
        self.dataplanes.insert_mut(name.clone(), next);
        Some(Part::Dataplane(ProxyId::new(self.name.clone(), name)))
    }

    fn put_route(&mut self, name: &Arc<str>, next: Option<&TrafficRoute>) -> Vec<Part> {
        let part = |source_service| Part::Routes { mesh: self.name.clone(), source_service };
        self.routes.put(name, next).into_iter().map(part).collect()
    }

    fn put_permission(&mut self, name: &Arc<str>, next: Option<&TrafficPermission>) -> Vec<Part> {
        let part = |destination_service| Part::Permissions { mesh: self.name.clone(), destination_service };
        self.permissions.put(name, next).into_iter().map(part).collect()
    }

    fn put_log(&mut self, name: &Arc<str>, next: Option<&TrafficLog>) -> Vec<Part> {
        let part = |source_service| Part::Logs { mesh: self.name.clone(), source_service };
        self.logs.put(name, next).into_iter().map(part).collect()
    }

    fn put_template(&mut self, name: &Arc<str>, next: Option<&ProxyTemplate>) -> Vec<Part> {
        let part = |service| Part::Templates { mesh: self.name.clone(), service };
        let next = next.map(TemplateView::new);
        self.templates.put(name, next.as_ref()).into_iter().map(part).collect()
    }

    fn put_endpoints(&mut self, service_changes: ServiceChanges) -> Vec<Part> {
        let mut parts = Vec::new();
        for (service, changes) in service_changes {
            let mut endpoints = self.endpoints.get(&service).cloned().unwrap_or_default();
            if endpoints.apply(&changes) {
                parts.push(Part::Endpoints { mesh: self.name.clone(), service: service.clone() });
            }
            if endpoints.is_empty() {
                self.endpoints.remove_mut(&service);
            } else {
                self.endpoints.insert_mut(service, endpoints);
            }
        }
        parts
    }
}

fn present<T>(it: T) -> Entity<T> {
    Entity::Present(Arc::new(it))
}

fn count_endpoints(dataplane: &Entity<DataplaneView>, change: isize, service_changes: &mut ServiceChanges) {
    let Entity::Present(dataplane) = dataplane else { return };
    for (service, endpoint) in dataplane.endpoints() {
        let changes = match service_changes.get_mut(service) {
            Some(changes) => changes,
            None => service_changes.entry(Arc::from(service)).or_default(),
        };
        *changes.entry(endpoint).or_default() += change;
    }
}

impl<T> Clone for Entity<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Present(it) => Self::Present(it.clone()),
            Self::Deleted => Self::Deleted,
        }
    }
}
