//! The policies of one kind in a mesh, by the service that their selectors name: a proxy looks only at those that may concern
//! it, and hears only of their changes.

use std::{collections::BTreeSet, sync::Arc};

use model::{ANY_VALUE, SERVICE_TAG, Selector, TrafficLog, TrafficPermission, TrafficRoute};
use rpds::RedBlackTreeMapSync;

/// A kind that is looked for by the service of some of its selectors.
pub(crate) trait Policy: Clone + PartialEq {
    /// Those that it is looked for by.
    fn selectors(&self) -> &[Selector];

    /// Whether everything but [`Policy::selectors`] is the same.
    fn is_same_otherwise(&self, other: &Self) -> bool;
}

/// A proxy looks for the routes from its services.
impl Policy for TrafficRoute {
    fn selectors(&self) -> &[Selector] {
        self.sources()
    }

    fn is_same_otherwise(&self, other: &Self) -> bool {
        self.destinations() == other.destinations() && self.conf() == other.conf()
    }
}

/// A proxy looks for the permissions to call its services.
impl Policy for TrafficPermission {
    fn selectors(&self) -> &[Selector] {
        self.destinations()
    }

    fn is_same_otherwise(&self, other: &Self) -> bool {
        self.sources() == other.sources()
    }
}

/// A proxy looks for the logs of connections from its services.
impl Policy for TrafficLog {
    fn selectors(&self) -> &[Selector] {
        self.sources()
    }

    fn is_same_otherwise(&self, other: &Self) -> bool {
        self.destinations() == other.destinations() && self.conf == other.conf
    }
}

/// Cloned in constant time.
#[derive(Clone, Debug)]
pub(crate) struct PolicyIndex<P> {
    by_name: PoliciesByName<P>,
    /// By the `service` of a selector. A selector without one, which would be for any, is under `*`.
    by_service: RedBlackTreeMapSync<Arc<str>, PoliciesByName<P>>,
}

type PoliciesByName<P> = RedBlackTreeMapSync<Arc<str>, Arc<P>>;

impl<P: Policy> PolicyIndex<P> {
    /// The policies with a selector for this `service`, by name.
    pub(crate) fn of<'a>(&'a self, service: &str) -> impl Iterator<Item = (&'a str, &'a P)> + use<'a, P> {
        let policies = self.by_service.get(service).into_iter().flat_map(PoliciesByName::iter);
        policies.map(|(name, policy)| (&**name, &**policy))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The services whose policies are others now. `None` deletes.
    pub(crate) fn put(&mut self, name: &Arc<str>, next: Option<&P>) -> BTreeSet<Arc<str>> {
        let before = self.by_name.get(name).cloned();
        if before.as_deref() == next {
            return BTreeSet::new();
        }
        let next = next.map(|next| Arc::new(next.clone()));
        let either = before.iter().chain(&next).flat_map(|policy| policy.selectors());
        let services: BTreeSet<Arc<str>> = either.map(service_of).map(Arc::from).collect();
        for service in &services {
            let next = next.as_ref().filter(|policy| selectors(&***policy, service).next().is_some());
            put_or_remove(&mut self.by_service, service, name, next);
        }
        match &next {
            Some(next) => self.by_name.insert_mut(name.clone(), next.clone()),
            None => drop(self.by_name.remove_mut(name)),
        }
        let is_another = |service: &Arc<str>| !is_same_for(service, before.as_deref(), next.as_deref());
        services.into_iter().filter(is_another).collect()
    }
}

impl<P> Default for PolicyIndex<P> {
    fn default() -> Self {
        Self { by_name: PoliciesByName::new_sync(), by_service: RedBlackTreeMapSync::new_sync() }
    }
}

fn put_or_remove<P>(
    index: &mut RedBlackTreeMapSync<Arc<str>, PoliciesByName<P>>,
    service: &Arc<str>,
    name: &Arc<str>,
    policy: Option<&Arc<P>>,
) {
    let mut policies = index.get(service).cloned().unwrap_or_else(PoliciesByName::new_sync);
    match policy {
        Some(policy) => policies.insert_mut(name.clone(), policy.clone()),
        None => drop(policies.remove_mut(name)),
    }
    if policies.is_empty() {
        index.remove_mut(service);
    } else {
        index.insert_mut(service.clone(), policies);
    }
}

/// Whether two policies are the same to those whose only service this is.
fn is_same_for<P: Policy>(service: &str, a: Option<&P>, b: Option<&P>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => selectors(a, service).eq(selectors(b, service)) && a.is_same_otherwise(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn selectors<'a, P: Policy>(policy: &'a P, service: &str) -> impl Iterator<Item = &'a Selector> {
    policy.selectors().iter().filter(move |selector| service_of(selector) == service)
}

fn service_of(selector: &Selector) -> &str {
    selector.tags().get(SERVICE_TAG).map_or(ANY_VALUE, String::as_str)
}
