//! Random histories against a reference that is too simple to be wrong: a map, and a list of all that happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Key, Kind};
use proptest::{collection::vec, prelude::*, sample::select};
use store::{
    EmbeddedOptions, EmbeddedStore, MemoryStore, Outcome, Precondition, Present, Retention, Store,
    StoreError, Transaction, Write,
};

use crate::fixtures::{EPOCH, NOT_NEW, dataplane, insight, mesh, route, spec};

/// Small, so that random histories are cut.
const RETENTION: Retention = Retention { max_age_ms: 40, max_rows: 12, min_rows: 5 };

#[derive(Clone, Debug)]
enum Step {
    Commit { precondition: Option<Condition>, writes: Vec<(Key, Option<u32>)>, later_ms: u64 },
    PutInsights(Vec<(Key, u32)>),
}

#[derive(Clone, Debug)]
enum Condition {
    Exists(Key),
    Absent(Key),
    /// That the key was last changed so many revisions ago.
    ChangedAgo(Key, u64),
}

/// What the reference knows of an entity: its content, and when it came to be and was changed.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    content: u32,
    revision: u64,
    created_ms: u64,
    modified_ms: u64,
}

#[derive(Default)]
struct Reference {
    revision: u64,
    now_ms: u64,
    resources: BTreeMap<Key, Known>,
    insights: BTreeMap<Key, u32>,
    /// All of history: revision, key, content.
    changes: Vec<(u64, Key, Option<u32>)>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_memory_store_does_what_the_reference_does(steps in vec(step(), 1..40)) {
        let store = MemoryStore::with_retention(EPOCH, RETENTION);
        runtime().block_on(follow(&store, &steps, &mut Reference::default()));
    }
}

proptest! {
    // Each step waits for a disk.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_embedded_store_does_too_and_reopens_as_it_was(
        before in vec(step(), 1..20),
        after in vec(step(), 1..10),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kuma.db");
        let options = EmbeddedOptions { retention: RETENTION, ..EmbeddedOptions::default() };
        let mut reference = Reference::default();
        let mut closed: Option<(Arc<Present>, u64)> = None;
        for (epoch, steps) in [(EPOCH, &before), (NOT_NEW, &after)] {
            let store = EmbeddedStore::open_with(&path, epoch, options).unwrap();
            if let Some((present, oldest)) = closed {
                assert_eq!(*store.present(), *present);
                assert_eq!(oldest_of(&store), oldest);
            }
            runtime().block_on(follow(&store, steps, &mut reference));
            closed = Some((store.present(), oldest_of(&store)));
        }
    }
}

/// Takes the steps, and compares all that can be seen after each.
async fn follow(store: &dyn Store, steps: &[Step], reference: &mut Reference) {
    for step in steps {
        match step {
            Step::Commit { precondition, writes, later_ms } => {
                reference.now_ms += later_ms;
                let precondition = precondition.as_ref().map(|it| reference.precondition(it));
                let transaction = Transaction {
                    preconditions: precondition
                        .iter()
                        .map(|(precondition, _)| precondition.clone())
                        .collect(),
                    writes: writes.iter().map(|(key, content)| write(key, *content)).collect(),
                    author: "loopback".into(),
                    at_ms: reference.now_ms,
                };
                let answer = store.commit(transaction).await;
                if precondition.is_some_and(|(_, holds)| !holds) {
                    assert!(matches!(answer, Err(StoreError::Precondition(_))), "{answer:?}");
                } else {
                    let expected = reference.commit(writes);
                    assert_eq!(answer.unwrap().outcomes, expected);
                }
            }
            Step::PutInsights(insights) => {
                let given = insights.iter().map(|(key, content)| (key.clone(), insight(*content))).collect();
                store.put_insights(given).await.unwrap();
                let known = insights.iter().filter(|(key, _)| reference.resources.contains_key(key)).cloned();
                reference.insights.extend(known.collect::<Vec<_>>());
            }
        }
        compare(store, reference);
    }
}

fn compare(store: &dyn Store, reference: &Reference) {
    let present = store.present();
    assert_eq!(present.revision().number, reference.revision);
    assert_eq!(*store.revisions().borrow(), reference.revision);

    let resources: BTreeMap<Key, Known> = present
        .iter()
        .map(|(key, entry)| {
            let content = reference.resources.get(key).map_or(0, |known| known.content);
            assert_eq!(entry.spec, spec(key, content), "{key}");
            assert_eq!(entry.json, model::print_entity(key, &entry.spec).unwrap(), "{key}");
            let (created_ms, modified_ms) = (entry.created_ms, entry.modified_ms);
            (key.clone(), Known { content, revision: entry.revision.number, created_ms, modified_ms })
        })
        .collect();
    assert_eq!(resources, reference.resources);
    for kind in Kind::ALL {
        for mesh in MESHES {
            let all = reference.resources.keys().filter(|key| key.kind == *kind && *key.mesh == **mesh);
            assert!(present.list(*kind, mesh).map(|(key, _)| key).eq(all), "{} of {mesh}", kind.name());
        }
    }

    let insights = reference.insights.iter().map(|(key, content)| (key, insight(*content)));
    assert!(present.insights().map(|(key, insight)| (key, (**insight).clone())).eq(insights));
    compare_history(store, &present, reference);
}

fn compare_history(store: &dyn Store, present: &Present, reference: &Reference) {
    let oldest = oldest_of(store);
    for since in oldest..=reference.revision {
        let is_later = |(revision, _, _): &&(u64, Key, Option<u32>)| *revision > since;
        let expected: Vec<_> = reference.changes.iter().filter(is_later).cloned().collect();
        let changes = store.changes(since).unwrap();
        assert_eq!(changes.len(), expected.len(), "since {since}");
        for (change, (revision, key, content)) in changes.iter().zip(expected) {
            assert_eq!((change.revision, &change.key), (revision, &key));
            assert_eq!(change.spec, content.map(|content| spec(&key, content)));
        }
    }
    let kept = reference.changes.iter().filter(|(revision, _, _)| *revision >= oldest).count();
    assert!(kept >= reference.changes.len().min(RETENTION.min_rows), "{kept} changes are too few");

    // Which changes of the oldest revision are still there cannot be seen, so its tombstones may stand or not.
    let last: BTreeMap<&Key, (u64, bool)> = reference
        .changes
        .iter()
        .map(|(revision, key, content)| (key, (*revision, content.is_none())))
        .collect();
    let tombstones: BTreeSet<&Key> = present.tombstones().collect();
    for (key, (revision, is_deleted)) in last {
        if !is_deleted || revision < oldest {
            assert!(!tombstones.contains(key), "{key} has a tombstone");
        } else if revision > oldest {
            assert_eq!(present.deleted(key), Some(revision), "{key}");
        }
    }
}

fn oldest_of(store: &dyn Store) -> u64 {
    store.changes(u64::MAX).unwrap_err().oldest
}

impl Reference {
    fn precondition(&self, condition: &Condition) -> (Precondition, bool) {
        match condition.clone() {
            Condition::Exists(key) => {
                let holds = self.resources.contains_key(&key);
                (Precondition::Exists(key), holds)
            }
            Condition::Absent(key) => {
                let holds = !self.resources.contains_key(&key);
                (Precondition::Absent(key), holds)
            }
            Condition::ChangedAgo(key, ago) => {
                let number = self.revision.saturating_sub(ago);
                let holds = self.resources.get(&key).is_some_and(|known| known.revision == number);
                (Precondition::At(key, store::Revision { epoch: EPOCH, number }), holds)
            }
        }
    }

    fn commit(&mut self, writes: &[(Key, Option<u32>)]) -> Vec<Outcome> {
        let next = self.revision + 1;
        let mut changes = Vec::new();
        let mut outcomes = Vec::new();
        for (key, content) in writes {
            let before = self.resources.get(key).cloned();
            outcomes.push(match (before, content) {
                (None, None) => Outcome::Absent,
                (Some(_), None) => {
                    let is_gone =
                        |other: &Key| other == key || key.kind == Kind::Mesh && other.mesh == key.mesh;
                    let mut gone: Vec<Key> =
                        self.resources.keys().filter(|key| is_gone(key)).cloned().collect();
                    gone.sort_by_key(|key| (key.kind == Kind::Mesh, key.clone()));
                    self.resources.retain(|key, _| !is_gone(key));
                    self.insights.retain(|key, _| !is_gone(key));
                    changes.extend(gone.into_iter().map(|key| (next, key, None)));
                    Outcome::Deleted
                }
                (Some(before), Some(content)) if before.content == *content => Outcome::Unchanged,
                (before, Some(content)) => {
                    let outcome = if before.is_some() { Outcome::Configured } else { Outcome::Created };
                    let known = Known {
                        content: *content,
                        revision: next,
                        created_ms: before.map_or(self.now_ms, |before| before.created_ms),
                        modified_ms: self.now_ms,
                    };
                    self.resources.insert(key.clone(), known);
                    changes.push((next, key.clone(), Some(*content)));
                    outcome
                }
            });
        }
        if !changes.is_empty() {
            self.revision = next;
        }
        let is_last = |at: usize| changes[at + 1..].iter().all(|(_, key, _)| *key != changes[at].1);
        self.changes.extend((0..changes.len()).filter(|at| is_last(*at)).map(|at| changes[at].clone()));
        outcomes
    }
}

const MESHES: &[&str] = &["m", "n"];

fn key() -> impl Strategy<Value = Key> {
    let make: [fn(&str, &str) -> Key; 3] = [|name, _| mesh(name), dataplane, route];
    (select(make.to_vec()), select(MESHES), select(&["x", "y"][..]))
        .prop_map(|(make, mesh, name)| make(mesh, name))
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        key().prop_map(Condition::Exists),
        key().prop_map(Condition::Absent),
        (key(), 0..3_u64).prop_map(|(key, ago)| Condition::ChangedAgo(key, ago)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let content = prop_oneof![3 => (1..4_u32).prop_map(Some), 1 => Just(None)];
    let commit = (prop::option::weighted(0.3, condition()), vec((key(), content), 0..5), 0..20_u64);
    prop_oneof![
        5 => commit.prop_map(|(precondition, writes, later_ms)| Step::Commit { precondition, writes, later_ms }),
        1 => vec((key().prop_filter("a Dataplane", |key| key.kind == Kind::Dataplane), 1..4_u32), 1..4)
            .prop_map(Step::PutInsights),
    ]
}

fn write(key: &Key, content: Option<u32>) -> Write {
    match content {
        Some(content) => Write::Put(key.clone(), spec(key, content)),
        None => Write::Delete(key.clone()),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}
