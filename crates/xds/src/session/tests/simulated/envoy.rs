//! A client that does what Envoy 1.40 was seen to do over the incremental protocol.
//!
//! It subscribes to the endpoints and secrets of clusters, and to the extensions and routes of listeners, as it gets
//! them; it withholds its answers about clusters while one of them warms; it asks for listeners once all are warm; of a
//! response that it refuses it applies what is good and records nothing; and it comes back with what it recorded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::world::{is_bad, references};
use crate::{Request, ResourceType, Response};

#[derive(Default)]
pub(super) struct Envoy {
    /// What it works with.
    pub(super) applied: BTreeMap<ResourceType, BTreeMap<String, String>>,
    /// What it tells the next server that it has.
    recorded: BTreeMap<ResourceType, BTreeMap<String, String>>,
    subscribed: BTreeMap<ResourceType, BTreeSet<String>>,
    /// Clusters that wait for endpoints.
    without_endpoints: BTreeSet<String>,
    has_asked_for_listeners: bool,
    /// About clusters, to be said when all are warm.
    withheld: Vec<Request>,
    /// Said, and not yet heard by the server.
    pub(super) outbox: VecDeque<Request>,
    /// What it took of responses that it refused, and did not tell the server of when it came back.
    pub(super) orphans: BTreeSet<String>,
    /// What it did though it should not have had to: use a cluster that was not there, or lose one that it used.
    pub(super) breaks: Vec<String>,
}

impl Envoy {
    /// Opens a stream, with all that it has from earlier ones.
    pub(super) fn connect(&mut self, legacy_wildcard: bool) {
        self.outbox.clear();
        self.withheld.clear();
        for resource_type in [ResourceType::Cluster, ResourceType::Listener] {
            let recorded = self.recorded.entry(resource_type).or_default();
            let applied = self.applied.entry(resource_type).or_default();
            self.orphans.extend(applied.keys().filter(|it| !recorded.contains_key(*it)).cloned());
        }
        let wildcard = || if legacy_wildcard { Vec::new() } else { vec!["*".to_owned()] };
        let clusters = self.first_request(ResourceType::Cluster, wildcard());
        self.withheld.push(clusters);
        if self.is_warm() {
            self.outbox.append(&mut self.withheld.drain(..).collect());
        }
        for resource_type in ResourceType::ALL {
            let names: Vec<_> = self.subscribed.entry(resource_type).or_default().iter().cloned().collect();
            if !names.is_empty() {
                let request = self.first_request(resource_type, names);
                self.outbox.push_back(request);
            }
        }
        if self.has_asked_for_listeners {
            let request = self.first_request(ResourceType::Listener, wildcard());
            self.outbox.push_back(request);
        }
    }

    fn first_request(&self, resource_type: ResourceType, subscribe: Vec<String>) -> Request {
        let initial_versions = self.recorded.get(&resource_type).cloned().unwrap_or_default();
        Request { subscribe, initial_versions, ..request(resource_type) }
    }

    pub(super) fn is_warm(&self) -> bool {
        let secrets = self.applied.get(&ResourceType::Secret);
        let has_secret = |name: &String| secrets.is_some_and(|it| it.contains_key(name));
        let clusters = self.applied.get(&ResourceType::Cluster).into_iter().flatten();
        self.without_endpoints.is_empty()
            && clusters.flat_map(|(_, version)| references(version)).all(|it| has_secret(&it))
    }

    /// Takes a response, or refuses it: what is bad, and what `is_refused` says.
    pub(super) fn on_response(&mut self, response: &Response, is_refused: &mut dyn FnMut() -> bool) {
        let resource_type = response.resource_type;
        let mut good = Vec::new();
        for resource in &response.resources {
            if !is_bad(&resource.version) && !is_refused() {
                good.push((resource.name.to_string(), resource.version.to_string()));
            }
        }
        let complete = good.len() == response.resources.len();
        for name in &response.removed {
            self.remove(resource_type, name);
        }
        for (name, version) in &good {
            self.apply(resource_type, name, version);
        }
        if complete {
            let recorded = self.recorded.entry(resource_type).or_default();
            recorded.extend(good);
            for name in &response.removed {
                recorded.remove(name.as_ref());
            }
        }
        self.resubscribe();

        let error = (!complete).then(|| "no".to_owned());
        self.withheld.push(Request {
            response_nonce: response.nonce.to_string(),
            error,
            ..request(resource_type)
        });
        if resource_type == ResourceType::Cluster && !self.is_warm() {
            return;
        }
        let warm = self.is_warm();
        let about_clusters = |it: &Request| it.type_url == ResourceType::Cluster.type_url();
        let (withheld, said) =
            std::mem::take(&mut self.withheld).into_iter().partition(|it| !warm && about_clusters(it));
        self.withheld = withheld;
        self.outbox.extend::<Vec<_>>(said);
        if warm && !std::mem::replace(&mut self.has_asked_for_listeners, true) {
            self.outbox.push_back(request(ResourceType::Listener));
        }
    }

    fn apply(&mut self, resource_type: ResourceType, name: &str, version: &str) {
        match resource_type {
            ResourceType::Cluster => {
                self.without_endpoints.insert(name.to_owned());
            }
            // Of what it has meanwhile lost its interest in.
            _ if !resource_type.has_wildcard() && !self.is_subscribed(resource_type, name) => return,
            ResourceType::Endpoint => {
                self.without_endpoints.remove(name);
            }
            ResourceType::Extension | ResourceType::Route if self.applied(resource_type, name).is_some() => {
                self.check_use(name, version);
            }
            _ => {}
        }
        self.applied.entry(resource_type).or_default().insert(name.to_owned(), version.to_owned());
    }

    fn remove(&mut self, resource_type: ResourceType, name: &str) {
        self.applied.entry(resource_type).or_default().remove(name);
        if resource_type == ResourceType::Cluster {
            self.without_endpoints.remove(name);
            self.check_loss(name);
        }
    }

    fn check_use(&mut self, name: &str, version: &str) {
        for cluster in references(version) {
            if self.without_endpoints.contains(&cluster)
                || self.applied(ResourceType::Cluster, &cluster).is_none()
            {
                self.breaks.push(format!("{name}@{version} uses {cluster} too early"));
            }
        }
    }

    fn check_loss(&mut self, cluster: &str) {
        for resource_type in [ResourceType::Extension, ResourceType::Route] {
            for (name, version) in self.applied.get(&resource_type).into_iter().flatten() {
                if references(version).iter().any(|it| it == cluster) {
                    self.breaks.push(format!("{name}@{version} lost {cluster}"));
                }
            }
        }
    }

    fn applied(&self, resource_type: ResourceType, name: &str) -> Option<&String> {
        self.applied.get(&resource_type)?.get(name)
    }

    fn is_subscribed(&self, resource_type: ResourceType, name: &str) -> bool {
        self.subscribed.get(&resource_type).is_some_and(|it| it.contains(name))
    }

    /// Subscribes to what its clusters and listeners refer to now, and to nothing else.
    fn resubscribe(&mut self) {
        let of = |it| self.applied.get(&it).into_iter().flatten();
        let clusters: BTreeSet<_> = of(ResourceType::Cluster).map(|(name, _)| name.clone()).collect();
        let secrets = of(ResourceType::Cluster).flat_map(|(_, version)| references(version)).collect();
        let (extensions, routes) = of(ResourceType::Listener)
            .flat_map(|(_, version)| references(version))
            .partition::<BTreeSet<_>, _>(|it| it.starts_with('x'));
        for (resource_type, wanted) in [
            (ResourceType::Endpoint, &clusters),
            (ResourceType::Secret, &secrets),
            (ResourceType::Extension, &extensions),
            (ResourceType::Route, &routes),
        ] {
            self.subscribe_to(resource_type, wanted);
        }
    }

    fn subscribe_to(&mut self, resource_type: ResourceType, wanted: &BTreeSet<String>) {
        let had = self.subscribed.insert(resource_type, wanted.clone()).unwrap_or_default();
        let subscribe: Vec<_> = wanted.difference(&had).cloned().collect();
        let unsubscribe: Vec<_> = had.difference(wanted).cloned().collect();
        for name in &unsubscribe {
            self.applied.entry(resource_type).or_default().remove(name);
            self.recorded.entry(resource_type).or_default().remove(name);
        }
        if !subscribe.is_empty() || !unsubscribe.is_empty() {
            self.outbox.push_back(Request { subscribe, unsubscribe, ..request(resource_type) });
        }
    }
}

fn request(resource_type: ResourceType) -> Request {
    Request { type_url: resource_type.type_url().to_owned(), ..Request::default() }
}
