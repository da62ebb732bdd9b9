//! Where the inbounds of a service can be reached, and subsets of them.
//!
//! Selected once, shared by all: a subset is made and hashed for the first plan that asks for it, and kept inside the
//! immutable content that it is a subset of. A thousand subscribers of a thousand endpoints cost one selection.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use model::{Tags, matches};
use rpds::RedBlackTreeMapSync;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::canonical::{self, Digest};

/// One inbound of some Dataplane, as the sidecars of others reach it. Ordered by IP, port, tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The sidecar's, never the workload's.
    pub address: SocketAddr,
    pub tags: Arc<Tags>,
}

/// Endpoints in their order, each once. Cheap to clone: all clones are one value.
#[derive(Clone, Debug)]
pub struct EndpointSet(Arc<Selection>);

#[derive(Debug)]
struct Selection {
    endpoints: Vec<Arc<Endpoint>>,
    digest: Digest,
}

/// The content of one [`crate::Part::Endpoints`].
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceEndpoints {
    members: Members,
    /// Of exactly these members: a change of their set starts another memo, so that nothing in it grows old.
    selections: Arc<Mutex<Selections>>,
}

/// By the tags that were asked for.
type Selections = BTreeMap<Tags, EndpointSet>;

/// So many subsets of one service are kept. Routes rarely name more than a few; whoever edits them for ever over endpoints
/// that stay makes others be selected again, and nothing worse.
const SELECTIONS_MAX: usize = 256;

/// How many inbounds each endpoint stands for: two Dataplanes may claim the same one, and either may go.
#[derive(Clone, Debug)]
struct Members(RedBlackTreeMapSync<Arc<Endpoint>, NonZeroUsize>);

/// How many inbounds have come (or, below zero, gone) for each endpoint.
pub(crate) type EndpointChanges = BTreeMap<Endpoint, isize>;

impl EndpointSet {
    pub fn empty() -> Self {
        static EMPTY: OnceLock<EndpointSet> = OnceLock::new();
        EMPTY.get_or_init(|| Self::new(Vec::new())).clone()
    }

    /// `endpoints` in their order, each once.
    fn new(endpoints: Vec<Arc<Endpoint>>) -> Self {
        let digest = canonical::digest(&endpoints.iter().map(|it| &**it).collect::<Vec<_>>());
        Self(Arc::new(Selection { endpoints, digest }))
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Endpoint> {
        self.0.endpoints.iter().map(|endpoint| &**endpoint)
    }

    /// SHA-256 of the endpoints in canonical form: equal sets, and no others, have equal digests.
    pub fn digest(&self) -> &Digest {
        &self.0.digest
    }
}

impl PartialEq for EndpointSet {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl Eq for EndpointSet {}

impl ServiceEndpoints {
    /// The endpoints that have these tags; a value `*` wants the tag to be there.
    pub(crate) fn select(&self, tags: &Tags) -> EndpointSet {
        // Held while selecting, so that many plans at once make one selection and not many. A panic leaves the memo
        // whole, so a poisoned lock is as good as any.
        let mut selections = self.selections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(selection) = selections.get(tags) {
            return selection.clone();
        }
        let selected = self.members.0.keys().filter(|endpoint| matches(tags, &endpoint.tags)).cloned();
        let selection = EndpointSet::new(selected.collect());
        if selections.len() >= SELECTIONS_MAX {
            selections.clear();
        }
        selections.insert(tags.clone(), selection.clone());
        selection
    }

    /// Whether the set of endpoints is another now.
    pub(crate) fn apply(&mut self, changes: &EndpointChanges) -> bool {
        let mut another = false;
        for (endpoint, &change) in changes {
            another |= self.members.add(endpoint, change);
        }
        if another {
            self.selections = Arc::default();
        }
        another
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.0.is_empty()
    }
}

impl Default for Members {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}

impl Members {
    /// Whether the endpoint is new, or gone.
    fn add(&mut self, endpoint: &Endpoint, change: isize) -> bool {
        let before = self.0.get(endpoint).map_or(0, |count| count.get());
        match NonZeroUsize::new(before.saturating_add_signed(change)) {
            Some(after) => self.0.insert_mut(Arc::new(endpoint.clone()), after),
            None => return self.0.remove_mut(endpoint),
        }
        before == 0
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("Endpoint", 2)?;
        fields.serialize_field("address", &self.address)?;
        fields.serialize_field("tags", &*self.tags)?;
        fields.end()
    }
}

impl Serialize for EndpointSet {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(port: u16, version: &str) -> Endpoint {
        let tags =
            Tags::from([("service".to_owned(), "a".to_owned()), ("version".to_owned(), version.to_owned())]);
        Endpoint { address: SocketAddr::from(([10, 0, 0, 1], port)), tags: Arc::new(tags) }
    }

    fn version(version: &str) -> Tags {
        Tags::from([("version".to_owned(), version.to_owned())])
    }

    fn is_one_value(a: &EndpointSet, b: &EndpointSet) -> bool {
        Arc::ptr_eq(&a.0, &b.0)
    }

    #[test]
    fn a_selection_is_made_once_and_shared_by_all_who_ask_for_it() {
        let mut endpoints = ServiceEndpoints::default();
        endpoints.apply(&[(endpoint(1, "v1"), 1), (endpoint(2, "v2"), 1)].into());
        let first = endpoints.select(&version("v1"));
        assert_eq!(first.iter().collect::<Vec<_>>(), [&endpoint(1, "v1")]);
        assert!(is_one_value(&first, &endpoints.select(&version("v1"))));
        assert!(
            is_one_value(&first, &endpoints.clone().select(&version("v1"))),
            "a clone is the same content"
        );
    }

    #[test]
    fn a_selection_lives_as_long_as_the_set_that_it_is_of() {
        let mut endpoints = ServiceEndpoints::default();
        endpoints.apply(&[(endpoint(1, "v1"), 1)].into());
        let before = endpoints.clone();
        let first = before.select(&version("v1"));

        assert!(!endpoints.apply(&[(endpoint(1, "v1"), 1)].into()), "one more that claims it");
        assert!(is_one_value(&first, &endpoints.select(&version("v1"))));

        assert!(endpoints.apply(&[(endpoint(2, "v1"), 1)].into()));
        assert_eq!(endpoints.select(&version("v1")).iter().len(), 2);
        assert!(
            is_one_value(&first, &before.select(&version("v1"))),
            "who still looks at the old set sees the old set"
        );
    }

    #[test]
    fn selections_that_nobody_asks_for_again_do_not_pile_up() {
        let endpoints = ServiceEndpoints::default();
        for i in 0..=SELECTIONS_MAX {
            endpoints.select(&version(&format!("v{i}")));
        }
        assert!(endpoints.selections.lock().unwrap().len() <= SELECTIONS_MAX);
    }

    #[test]
    fn sets_are_equal_if_their_endpoints_are() {
        let of = |endpoint: Endpoint| EndpointSet::new(vec![Arc::new(endpoint)]);
        assert_eq!(of(endpoint(1, "v1")), of(endpoint(1, "v1")));
        assert_ne!(of(endpoint(1, "v1")), of(endpoint(1, "v2")));
        assert_ne!(of(endpoint(1, "v1")), of(endpoint(2, "v1")));
        assert_ne!(of(endpoint(1, "v1")), EndpointSet::empty());
    }
}
