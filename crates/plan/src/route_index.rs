//! The TrafficRoutes of a mesh, by the service of their sources: a proxy looks only at those that may have it among
//! their sources, and hears only of their changes.

use std::{collections::BTreeSet, sync::Arc};

use model::{ANY_VALUE, SERVICE_TAG, Selector, TrafficRoute};
use rpds::RedBlackTreeMapSync;

/// Cloned in constant time.
#[derive(Clone, Debug)]
pub(crate) struct RouteIndex {
    by_name: RoutesByName,
    /// By the `service` of a source selector. A source without one, which would be for any, is under `*`.
    by_source_service: RedBlackTreeMapSync<Arc<str>, RoutesByName>,
}

type RoutesByName = RedBlackTreeMapSync<Arc<str>, Arc<TrafficRoute>>;

impl RouteIndex {
    /// The routes with a source selector for this `service`, by name.
    pub(crate) fn routes_from<'a>(
        &'a self,
        service: &str,
    ) -> impl Iterator<Item = (&'a str, &'a TrafficRoute)> {
        let routes = self.by_source_service.get(service).into_iter().flat_map(RoutesByName::iter);
        routes.map(|(name, route)| (&**name, &**route))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The source services whose routes are others now. `None` deletes.
    pub(crate) fn put(&mut self, name: &Arc<str>, next: Option<&TrafficRoute>) -> BTreeSet<Arc<str>> {
        let before = self.by_name.get(name).cloned();
        if before.as_deref() == next {
            return BTreeSet::new();
        }
        let next = next.map(|next| Arc::new(next.clone()));
        let either = before.iter().chain(&next).flat_map(|route| route.sources());
        let source_services: BTreeSet<Arc<str>> = either.map(source_service).map(Arc::from).collect();
        for service in &source_services {
            let next = next.as_ref().filter(|route| sources(route, service).next().is_some());
            put_or_remove(&mut self.by_source_service, service, name, next);
        }
        match &next {
            Some(next) => self.by_name.insert_mut(name.clone(), next.clone()),
            None => drop(self.by_name.remove_mut(name)),
        }
        let is_another = |service: &Arc<str>| !is_same_from(service, before.as_deref(), next.as_deref());
        source_services.into_iter().filter(is_another).collect()
    }
}

impl Default for RouteIndex {
    fn default() -> Self {
        Self { by_name: RoutesByName::new_sync(), by_source_service: RedBlackTreeMapSync::new_sync() }
    }
}

fn put_or_remove(
    index: &mut RedBlackTreeMapSync<Arc<str>, RoutesByName>,
    service: &Arc<str>,
    name: &Arc<str>,
    route: Option<&Arc<TrafficRoute>>,
) {
    let mut routes = index.get(service).cloned().unwrap_or_else(RoutesByName::new_sync);
    match route {
        Some(route) => routes.insert_mut(name.clone(), route.clone()),
        None => drop(routes.remove_mut(name)),
    }
    if routes.is_empty() {
        index.remove_mut(service);
    } else {
        index.insert_mut(service.clone(), routes);
    }
}

/// Whether two routes are the same to those whose only service this is.
fn is_same_from(service: &str, a: Option<&TrafficRoute>, b: Option<&TrafficRoute>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            sources(a, service).eq(sources(b, service))
                && a.destinations() == b.destinations()
                && a.conf() == b.conf()
        }
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn sources<'a>(route: &'a TrafficRoute, service: &str) -> impl Iterator<Item = &'a Selector> {
    route.sources().iter().filter(move |source| source_service(source) == service)
}

fn source_service(source: &Selector) -> &str {
    source.tags().get(SERVICE_TAG).map_or(ANY_VALUE, String::as_str)
}
