//! A client that does what Envoy 1.40 was seen to do, over either protocol ([`super::words`] has what it says).
//!
//! It subscribes to the endpoints and secrets of clusters, and to the extensions and routes of listeners, as it gets
//! them; it withholds its answers about clusters while one of them warms; it asks for listeners once all are warm; of a
//! response that it refuses it applies what is good and records nothing; it refuses a listener that names a cluster which
//! is not there; it acknowledges the content of an extension that it has just refused, without applying it; and it comes back
//! with what it recorded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    words::{Said, Words},
    world::{KEPT, endpoints_of, is_bad, references},
};
use crate::{Protocol, ResourceType, Response};

pub(super) struct Envoy {
    pub(super) words: Words,
    /// What it works with.
    pub(super) applied: BTreeMap<ResourceType, BTreeMap<String, String>>,
    /// What it has taken of responses that it has acknowledged.
    recorded: BTreeMap<ResourceType, BTreeMap<String, String>>,
    subscribed: BTreeMap<ResourceType, BTreeSet<String>>,
    /// The extensions that it was sent last, good or bad: it does not look at the same content again.
    judged: BTreeMap<String, String>,
    /// How many resources it has refused.
    pub(super) refused: usize,
    /// Clusters that wait for endpoints.
    without_endpoints: BTreeSet<String>,
    has_asked_for_listeners: bool,
    /// About clusters, to be said when all are warm.
    withheld: Vec<Said>,
    /// Said, and not yet heard by the server.
    pub(super) outbox: VecDeque<Said>,
    /// What it took of responses that it refused, and did not tell the server of when it came back.
    pub(super) orphans: BTreeSet<String>,
    /// What it was told to remove.
    pub(super) removed: Vec<(ResourceType, String)>,
    /// What it did though it should not have had to: use a cluster that was not there, or lose one that it used.
    pub(super) breaks: Vec<String>,
}

impl Envoy {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            words: Words::new(protocol),
            applied: BTreeMap::new(),
            recorded: BTreeMap::new(),
            subscribed: BTreeMap::new(),
            judged: BTreeMap::new(),
            refused: 0,
            without_endpoints: BTreeSet::new(),
            has_asked_for_listeners: false,
            withheld: Vec::new(),
            outbox: VecDeque::new(),
            orphans: BTreeSet::new(),
            removed: Vec::new(),
            breaks: Vec::new(),
        }
    }

    /// Opens a stream, with all that it has from earlier ones.
    pub(super) fn connect(&mut self, legacy_wildcard: bool) {
        self.outbox.clear();
        self.withheld.clear();
        if !self.words.are_whole() {
            self.note_orphans();
        }
        self.words.connect(legacy_wildcard);
        let clusters = self.first_request(ResourceType::Cluster);
        self.withheld.push(clusters);
        if self.is_warm() {
            self.outbox.append(&mut self.withheld.drain(..).collect());
        }
        for resource_type in ResourceType::ALL {
            if self.subscribed.get(&resource_type).is_some_and(|it| !it.is_empty()) {
                let request = self.first_request(resource_type);
                self.outbox.push_back(request);
            }
        }
        if self.has_asked_for_listeners {
            let request = self.first_request(ResourceType::Listener);
            self.outbox.push_back(request);
        }
    }

    fn note_orphans(&mut self) {
        let kinds =
            [ResourceType::Cluster, ResourceType::Listener, ResourceType::Extension, ResourceType::Route];
        for resource_type in kinds {
            let recorded = self.recorded.entry(resource_type).or_default();
            let applied = self.applied.entry(resource_type).or_default();
            self.orphans.extend(applied.keys().filter(|it| !recorded.contains_key(*it)).cloned());
        }
    }

    fn first_request(&self, resource_type: ResourceType) -> Said {
        let nothing = BTreeSet::new();
        let names = self.subscribed.get(&resource_type).unwrap_or(&nothing);
        let recorded = self.recorded.get(&resource_type).cloned().unwrap_or_default();
        self.words.first(resource_type, names, recorded)
    }

    pub(super) fn is_warm(&self) -> bool {
        let secrets = self.applied.get(&ResourceType::Secret);
        let has_secret = |name: &String| secrets.is_some_and(|it| it.contains_key(name));
        let clusters = self.applied.get(&ResourceType::Cluster).into_iter().flatten();
        self.without_endpoints.is_empty()
            && clusters.flat_map(|(_, version)| secrets_of(version)).all(|it| has_secret(&it))
    }

    /// Takes a response, or refuses it: what is bad, and what `is_refused` says.
    pub(super) fn on_response(&mut self, response: &Response, is_refused: &mut dyn FnMut() -> bool) {
        let resource_type = response.resource_type;
        let (mut good, mut known) = (Vec::new(), Vec::new());
        for resource in &response.resources {
            let (name, version) = (resource.name.to_string(), resource.version.to_string());
            if resource_type == ResourceType::Extension
                && self.judged.insert(name.clone(), version.clone()).as_ref() == Some(&version)
            {
                known.push((name, version));
                continue;
            }
            let cannot_be = is_bad(&version) || self.names_a_missing_cluster(resource_type, &version);
            if !cannot_be && !is_refused() {
                good.push((name, version));
                continue;
            }
            self.refused += 1;
            if resource_type == ResourceType::Endpoint {
                // It goes on with those that it has.
                self.let_warm(&name);
            }
        }
        let complete = good.len() + known.len() == response.resources.len();
        let removed = self.removed_by(response);
        for name in &removed {
            self.remove(resource_type, name);
        }
        if self.words.are_whole_of(resource_type) {
            // What has not changed is left alone.
            let applied = self.applied.entry(resource_type).or_default();
            good.retain(|(name, version)| applied.get(name) != Some(version));
        }
        let clusters_warm_again = resource_type == ResourceType::Cluster && !good.is_empty();
        for (name, version) in &good {
            self.apply(resource_type, name, version);
        }
        if complete {
            if matches!(resource_type, ResourceType::Extension | ResourceType::Route) {
                self.orphans.retain(|it| !good.iter().chain(&known).any(|(name, _)| name == it));
            }
            let recorded = self.recorded.entry(resource_type).or_default();
            recorded.extend(good.into_iter().chain(known));
            for name in &removed {
                recorded.remove(name);
            }
        }
        self.words.hear(response, complete);
        self.resubscribe(clusters_warm_again);

        let error = (!complete).then(|| "no".to_owned());
        let names = self.subscribed.entry(resource_type).or_default();
        self.withheld.push(self.words.answer(response, error, names));
        if resource_type == ResourceType::Cluster && !self.is_warm() {
            return;
        }
        let warm = self.is_warm();
        let about_clusters = |it: &Said| it.resource_type == ResourceType::Cluster;
        let (withheld, said) =
            std::mem::take(&mut self.withheld).into_iter().partition(|it| !warm && about_clusters(it));
        self.withheld = withheld;
        self.outbox.extend::<Vec<_>>(said);
        if warm && !std::mem::replace(&mut self.has_asked_for_listeners, true) {
            let request = self.first_request(ResourceType::Listener);
            self.outbox.push_back(request);
        }
    }

    pub(super) fn names_a_missing_cluster(&self, resource_type: ResourceType, version: &str) -> bool {
        let is_missing = |name: &str| self.applied(ResourceType::Cluster, name).is_none();
        resource_type == ResourceType::Listener && clusters_of(version).any(|it| is_missing(&it))
    }

    fn removed_by(&self, response: &Response) -> Vec<String> {
        if !self.words.are_whole_of(response.resource_type) {
            return response.removed.iter().map(ToString::to_string).collect();
        }
        let is_gone = |name: &&String| !response.resources.iter().any(|it| *it.name == ***name);
        let applied = self.applied.get(&response.resource_type).into_iter().flat_map(BTreeMap::keys);
        applied.filter(is_gone).cloned().collect()
    }

    fn apply(&mut self, resource_type: ResourceType, name: &str, version: &str) {
        match resource_type {
            ResourceType::Cluster => {
                self.without_endpoints.insert(name.to_owned());
            }
            // Of what it has meanwhile lost its interest in.
            _ if !resource_type.has_wildcard() && !self.is_subscribed(resource_type, name) => return,
            ResourceType::Endpoint => self.let_warm(name),
            ResourceType::Extension | ResourceType::Route if self.applied(resource_type, name).is_some() => {
                self.check_use(name, version);
            }
            _ => {}
        }
        self.applied.entry(resource_type).or_default().insert(name.to_owned(), version.to_owned());
    }

    fn remove(&mut self, resource_type: ResourceType, name: &str) {
        if resource_type == ResourceType::Endpoint {
            self.let_warm(name);
            return;
        }
        self.applied.entry(resource_type).or_default().remove(name);
        if resource_type == ResourceType::Extension {
            self.judged.remove(name);
        }
        if resource_type == ResourceType::Cluster {
            self.without_endpoints.remove(name);
            self.check_loss(name);
        }
        self.removed.push((resource_type, name.to_owned()));
    }

    /// The clusters that wait for these endpoints.
    fn let_warm(&mut self, endpoints: &str) {
        let clusters = self.applied.get(&ResourceType::Cluster).into_iter().flatten();
        for (cluster, version) in clusters {
            if endpoints_of(cluster, version) == endpoints {
                self.without_endpoints.remove(cluster);
            }
        }
    }

    fn check_use(&mut self, name: &str, version: &str) {
        for cluster in clusters_of(version) {
            if self.without_endpoints.contains(&cluster)
                || self.applied(ResourceType::Cluster, &cluster).is_none()
            {
                self.breaks.push(format!("{name}@{version} uses {cluster} too early"));
            }
        }
    }

    fn check_loss(&mut self, cluster: &str) {
        for resource_type in [ResourceType::Listener, ResourceType::Extension, ResourceType::Route] {
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
    fn resubscribe(&mut self, clusters_warm_again: bool) {
        let of = |it| self.applied.get(&it).into_iter().flatten();
        let endpoints =
            of(ResourceType::Cluster).map(|(name, version)| endpoints_of(name, version)).collect();
        let secrets = of(ResourceType::Cluster).flat_map(|(_, version)| secrets_of(version)).collect();
        let (extensions, routes) = of(ResourceType::Listener)
            .flat_map(|(_, version)| references(version))
            .filter(|it| it.starts_with(['x', 'r']))
            .partition::<BTreeSet<_>, _>(|it| it.starts_with('x'));
        for (resource_type, wanted) in [
            (ResourceType::Endpoint, &endpoints),
            (ResourceType::Secret, &secrets),
            (ResourceType::Extension, &extensions),
            (ResourceType::Route, &routes),
        ] {
            self.subscribe_to(resource_type, wanted, clusters_warm_again);
        }
    }

    fn subscribe_to(&mut self, resource_type: ResourceType, wanted: &BTreeSet<String>, warm_again: bool) {
        let had = self.subscribed.insert(resource_type, wanted.clone()).unwrap_or_default();
        for name in had.difference(wanted) {
            self.applied.entry(resource_type).or_default().remove(name);
            self.recorded.entry(resource_type).or_default().remove(name);
            if resource_type == ResourceType::Extension {
                self.judged.remove(name);
            }
        }
        let again = warm_again && resource_type == ResourceType::Endpoint;
        self.outbox.extend(self.words.change(resource_type, &had, wanted, again));
    }
}

fn secrets_of(version: &str) -> impl Iterator<Item = String> {
    references(version).into_iter().filter(|it| it.starts_with('s'))
}

/// `kept` is one, too.
fn clusters_of(version: &str) -> impl Iterator<Item = String> {
    references(version).into_iter().filter(|it| it.starts_with('c') || it == KEPT)
}
