//! Filters by tags find what a look at everything would find.

use std::sync::Arc;

use model::{Inbound, Key, Kind, Selector, Spec, Tags, TrafficPermission, kinds::dataplane::Networking};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
};
use store::{MemoryStore, Present, Store, Write};

use crate::fixtures::{EPOCH, commit, dataplane, delete, mesh};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_knows_what_is_there_and_nothing_else(
        writes in vec((key(), prop::option::weighted(0.8, vec(tags(), 0..3))), 1..40),
        wanted in vec(tags(), 8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = MemoryStore::new(EPOCH);
        for (key, content) in writes {
            let write = match content {
                Some(tags) => Write::Put(key.clone(), tagged(&key, tags)),
                None => delete(&key),
            };
            runtime.block_on(commit(&store, [write]));
            for wanted in &wanted {
                for kind in [Kind::Dataplane, Kind::TrafficPermission, Kind::Mesh] {
                    let present = store.present();
                    for mesh in [None, Some("m")] {
                        let expected = looked_for(&present, kind, mesh, wanted);
                        prop_assert_eq!(found(&present, kind, mesh, wanted), expected);
                    }
                    let expected = !looked_for(&present, kind, Some("m"), wanted).is_empty();
                    prop_assert_eq!(present.any_tagged(kind, "m", wanted), expected);
                }
            }
        }
    }
}

fn key() -> impl Strategy<Value = Key> {
    let keys = ["a", "b"].into_iter().flat_map(|name| {
        ["m", "n"].map(|in_mesh| {
            [mesh(in_mesh), dataplane(in_mesh, name), Key::new(Kind::TrafficPermission, in_mesh, name)]
        })
    });
    select(keys.flatten().collect::<Vec<_>>())
}

fn tags() -> impl Strategy<Value = Tags> {
    let word = |words: &'static [&'static str]| select(words).prop_map(str::to_owned);
    btree_map(word(&["service", "version", ""]), word(&["web", "1", "*", ""]), 0..3)
}

/// Each set of tags is an inbound's, or a source's.
fn tagged(key: &Key, sets: Vec<Tags>) -> Arc<Spec> {
    let sets = sets.into_iter().map(Some);
    Arc::new(match key.kind {
        Kind::Dataplane => {
            let inbound = sets.map(|tags| Inbound { tags, ..Inbound::default() }).collect();
            let networking = Networking { inbound: Some(inbound), ..Networking::default() };
            Spec::Dataplane(model::Dataplane { networking: Some(networking) })
        }
        Kind::TrafficPermission => {
            let sources = Some(sets.map(|tags| Selector { tags }).collect());
            Spec::TrafficPermission(TrafficPermission { sources, ..TrafficPermission::default() })
        }
        _ => Spec::Mesh(model::Mesh::default()),
    })
}

fn found(present: &Present, kind: Kind, mesh: Option<&str>, wanted: &Tags) -> Vec<Key> {
    present.tagged(kind, mesh, wanted).into_iter().map(|(key, _)| key.clone()).collect()
}

fn looked_for(present: &Present, kind: Kind, mesh: Option<&str>, wanted: &Tags) -> Vec<Key> {
    let has_all = |spec: &Spec| {
        wanted.is_empty() || spec.tag_sets().into_iter().any(|tags| model::matches(wanted, tags))
    };
    let is_in = |key: &Key| mesh.is_none_or(|mesh| &*key.mesh == mesh);
    let all = present.all(kind).filter(|(key, _)| is_in(key));
    all.filter(|(_, entry)| has_all(&entry.spec)).map(|(key, _)| key.clone()).collect()
}
