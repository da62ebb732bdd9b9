//! One mesh, indexed for planning: by name, by service, by the service of a route's source.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{ANY_VALUE, Key, Kind, Mesh, ProxyId, SERVICE_TAG, Selector, Spec, Tags, TrafficRoute};
use rpds::RedBlackTreeMapSync;

use crate::{
    EndpointSet, Part,
    dataplane_view::DataplaneView,
    endpoints::{EndpointChanges, ServiceEndpoints},
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
    settings: Entity<Mesh>,
    dataplanes: RedBlackTreeMapSync<Arc<str>, Entity<DataplaneView>>,
    /// By the exact value of `service`. A service without endpoints is not in it.
    endpoints: RedBlackTreeMapSync<Arc<str>, ServiceEndpoints>,
    routes: Routes,
    /// By the `service` of a source selector, then by name. A source without one is under `*`.
    routes_by_source: RedBlackTreeMapSync<Arc<str>, Routes>,
}

/// By name, in whose order ties are broken.
type Routes = RedBlackTreeMapSync<Arc<str>, Arc<TrafficRoute>>;

impl MeshView {
    pub(crate) fn settings(&self) -> &Entity<Mesh> {
        &self.settings
    }

    pub(crate) fn dataplane(&self, name: &str) -> &Entity<DataplaneView> {
        self.dataplanes.get(name).unwrap_or(&Entity::Unknown)
    }

    /// The endpoints of a service that have these tags.
    pub(crate) fn endpoints(&self, service: &str, tags: &Tags) -> EndpointSet {
        self.endpoints.get(service).map_or_else(EndpointSet::empty, |endpoints| endpoints.select(tags))
    }

    /// The routes with a source selector for this `service`, by name.
    pub(crate) fn routes_from<'a>(
        &'a self,
        source_service: &str,
    ) -> impl Iterator<Item = (&'a str, &'a TrafficRoute)> {
        let routes = self.routes_by_source.get(source_service).into_iter().flat_map(Routes::iter);
        routes.map(|(name, route)| (&**name, &**route))
    }

    /// Takes over the last change of each entity, and adds the parts that have another content now to `changed`.
    pub(crate) fn apply(
        &mut self,
        mesh: &Arc<str>,
        changes: BTreeMap<Key, Option<Arc<Spec>>>,
        changed: &mut BTreeSet<Part>,
    ) {
        // Collected over all Dataplanes and applied once a service: the endpoints of a service have one next content,
        // however many of its Dataplanes change together, and one that moves between two of them changes nothing.
        let mut endpoint_changes = BTreeMap::new();
        for (Key { kind, name, .. }, spec) in changes {
            match (kind, spec.as_deref()) {
                (Kind::Mesh, None) => self.put_settings(mesh, Entity::Deleted, changed),
                (Kind::Mesh, Some(Spec::Mesh(it))) => {
                    self.put_settings(mesh, Entity::Present(Arc::new(it.clone())), changed);
                }
                (Kind::Dataplane, None) => {
                    self.put_dataplane(mesh, name, Entity::Deleted, &mut endpoint_changes, changed);
                }
                (Kind::Dataplane, Some(Spec::Dataplane(it))) => {
                    let view = Entity::Present(Arc::new(DataplaneView::new(it)));
                    self.put_dataplane(mesh, name, view, &mut endpoint_changes, changed);
                }
                (Kind::TrafficRoute, None) => self.put_route(mesh, name, None, changed),
                (Kind::TrafficRoute, Some(Spec::TrafficRoute(it))) => {
                    self.put_route(mesh, name, Some(Arc::new(it.clone())), changed);
                }
                (_, Some(spec)) => {
                    debug_assert!(false, "a {} under the key of a {}", spec.kind().name(), kind.name())
                }
            }
        }
        self.put_endpoints(mesh, endpoint_changes, changed);
    }

    fn put_settings(&mut self, mesh: &Arc<str>, next: Entity<Mesh>, changed: &mut BTreeSet<Part>) {
        if self.settings != next {
            self.settings = next;
            changed.insert(Part::Mesh(mesh.clone()));
        }
    }

    fn put_dataplane(
        &mut self,
        mesh: &Arc<str>,
        name: Arc<str>,
        next: Entity<DataplaneView>,
        endpoint_changes: &mut BTreeMap<Arc<str>, EndpointChanges>,
        changed: &mut BTreeSet<Part>,
    ) {
        let before = self.dataplane(&name);
        if *before == next {
            return;
        }
        count_endpoints(before, -1, endpoint_changes);
        count_endpoints(&next, 1, endpoint_changes);
        changed.insert(Part::Dataplane(ProxyId::new(mesh.clone(), name.clone())));
        self.dataplanes.insert_mut(name, next);
    }

    fn put_endpoints(
        &mut self,
        mesh: &Arc<str>,
        changes: BTreeMap<Arc<str>, EndpointChanges>,
        changed: &mut BTreeSet<Part>,
    ) {
        for (service, mut changes) in changes {
            changes.retain(|_, count| *count != 0);
            if changes.is_empty() {
                continue;
            }
            let mut endpoints = self.endpoints.get(&service).cloned().unwrap_or_default();
            if endpoints.apply(&changes) {
                changed.insert(Part::Endpoints { mesh: mesh.clone(), service: service.clone() });
            }
            if endpoints.is_empty() {
                self.endpoints.remove_mut(&service);
            } else {
                self.endpoints.insert_mut(service, endpoints);
            }
        }
    }

    fn put_route(
        &mut self,
        mesh: &Arc<str>,
        name: Arc<str>,
        next: Option<Arc<TrafficRoute>>,
        changed: &mut BTreeSet<Part>,
    ) {
        let before = self.routes.get(&name).cloned();
        if before == next {
            return;
        }
        let either = [before.as_deref(), next.as_deref()].into_iter().flatten();
        let source_services: BTreeSet<&str> =
            either.flat_map(TrafficRoute::sources).map(source_service).collect();
        for service in source_services {
            let is_from =
                |route: &&Arc<TrafficRoute>| route.sources().iter().any(|it| source_service(it) == service);
            let (before, next) = (before.as_ref().filter(is_from), next.as_ref().filter(is_from));
            if !is_same_from(service, before, next) {
                let source_service = Arc::from(service);
                changed.insert(Part::Routes { mesh: mesh.clone(), source_service });
            }
            let mut routes = self.routes_by_source.get(service).cloned().unwrap_or_else(Routes::new_sync);
            match next {
                Some(next) => routes.insert_mut(name.clone(), next.clone()),
                None => drop(routes.remove_mut(&name)),
            }
            if routes.is_empty() {
                self.routes_by_source.remove_mut(service);
            } else {
                self.routes_by_source.insert_mut(Arc::from(service), routes);
            }
        }
        match next {
            Some(next) => self.routes.insert_mut(name, next),
            None => drop(self.routes.remove_mut(&name)),
        }
    }
}

fn count_endpoints(
    dataplane: &Entity<DataplaneView>,
    change: isize,
    changes: &mut BTreeMap<Arc<str>, EndpointChanges>,
) {
    let Entity::Present(dataplane) = dataplane else { return };
    for (service, endpoint) in dataplane.endpoints() {
        let of_service = match changes.get_mut(service) {
            Some(of_service) => of_service,
            None => changes.entry(Arc::from(service)).or_default(),
        };
        *of_service.entry(endpoint).or_default() += change;
    }
}

fn source_service(selector: &Selector) -> &str {
    selector.tags().get(SERVICE_TAG).map_or(ANY_VALUE, String::as_str)
}

/// Whether two routes are the same to those who are of this source service and of no other.
fn is_same_from(service: &str, a: Option<&Arc<TrafficRoute>>, b: Option<&Arc<TrafficRoute>>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return a.is_none() && b.is_none() };
    fn sources<'a>(route: &'a TrafficRoute, service: &str) -> Vec<&'a Selector> {
        route.sources().iter().filter(|it| source_service(it) == service).collect()
    }
    sources(a, service) == sources(b, service) && a.destinations() == b.destinations() && a.conf() == b.conf()
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

impl Default for MeshView {
    fn default() -> Self {
        Self {
            settings: Entity::Unknown,
            dataplanes: RedBlackTreeMapSync::new_sync(),
            endpoints: RedBlackTreeMapSync::new_sync(),
            routes: Routes::new_sync(),
            routes_by_source: RedBlackTreeMapSync::new_sync(),
        }
    }
}
