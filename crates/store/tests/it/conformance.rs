//! Rules that every backend keeps. Each is a function of a new, empty store; the macro below runs it on all of them.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use model::{Key, Kind};
use store::{HistoryGone, Outcome, Precondition, Sealed, Store, StoreError, Write, mesh_secrets};
use tokio::task::JoinSet;

use crate::fixtures::{
    EPOCH, commit, commit_if, dataplane, delete, insight, mesh, put, route, spec, transaction,
};

macro_rules! on_every_store {
    ($($rule:ident)+) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                super::$rule(std::sync::Arc::new(store::MemoryStore::new(super::EPOCH))).await;
            })+
        }

        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                let folder = tempfile::tempdir().unwrap();
                let store = store::EmbeddedStore::open(&folder.path().join("kuma.db"), super::EPOCH).unwrap();
                super::$rule(std::sync::Arc::new(store)).await;
            })+
        }
    };
}

pub(crate) use on_every_store;

on_every_store! {
    a_new_store_is_empty_at_revision_0
    an_outcome_says_what_became_of_the_entity
    what_changes_nothing_takes_no_revision
    a_write_can_be_read_once_it_is_acknowledged
    an_entry_is_printed_as_get_answers_it
    lists_are_of_one_kind_in_order_and_of_one_mesh
    each_write_sees_those_before_it
    a_revision_has_one_change_an_entity
    all_of_a_transaction_or_nothing
    a_precondition_is_about_the_present
    of_writers_that_race_on_one_revision_one_wins
    revisions_are_handed_out_in_commit_order
    the_revision_watch_coalesces
    changes_are_those_after_a_revision
    deleting_a_mesh_deletes_what_is_in_it_and_nothing_else
    a_tombstone_stands_until_the_entity_is_there_again
    insights_belong_to_a_dataplane
    a_secret_is_put_once
    a_secret_is_replaced_by_whoever_has_seen_it
    secrets_of_a_mesh_go_with_it
    reading_does_not_read_a_database
    a_put_under_a_key_of_another_kind_is_the_caller_s_panic
}

async fn a_new_store_is_empty_at_revision_0(store: Arc<dyn Store>) {
    let present = store.present();
    assert_eq!(present.revision().to_string(), "00c0ffee-0");
    assert_eq!(present.iter().count() + present.insights().count() + present.tombstones().count(), 0);
    assert_eq!(store.changes(0), Ok(vec![]));
    assert_eq!(*store.revisions().borrow(), 0);
}

async fn an_outcome_says_what_became_of_the_entity(store: Arc<dyn Store>) {
    let web = route("default", "web");
    for (write, outcome, revision) in [
        (delete(&web), Outcome::Absent, 0),
        (put(&web, 1), Outcome::Created, 1),
        (put(&web, 1), Outcome::Unchanged, 1),
        (put(&web, 2), Outcome::Configured, 2),
        (delete(&web), Outcome::Deleted, 3),
        (delete(&web), Outcome::Absent, 3),
        (put(&web, 2), Outcome::Created, 4),
    ] {
        let committed = commit(&*store, [write]).await;
        assert_eq!((committed.outcomes, committed.revision.number), (vec![outcome], revision));
    }
}

async fn what_changes_nothing_takes_no_revision(store: Arc<dyn Store>) {
    let web = route("default", "web");
    commit(&*store, [put(&web, 1)]).await;
    let before = store.present();
    let mut again = transaction([put(&web, 1), delete(&route("default", "other"))]);
    again.at_ms = 9_000;
    assert_eq!(store.commit(again).await.unwrap().revision, before.revision());
    assert_eq!(store.commit(transaction([])).await.unwrap().revision, before.revision());
    assert_eq!(*store.present(), *before, "not even the time of its last change moves");
    assert_eq!(store.changes(1), Ok(vec![]));
}

async fn a_write_can_be_read_once_it_is_acknowledged(store: Arc<dyn Store>) {
    let web = route("default", "web");
    let mut first = transaction([put(&web, 1)]);
    first.at_ms = 5_000;
    let mut second = transaction([put(&web, 2)]);
    second.at_ms = 7_000;
    store.commit(first).await.unwrap();
    let committed = store.commit(second).await.unwrap();

    let present = store.present();
    let entry = present.get(&web).unwrap();
    assert_eq!((entry.created_ms, entry.modified_ms), (5_000, 7_000));
    assert_eq!((entry.revision, present.revision()), (committed.revision, committed.revision));
    assert_eq!(entry.spec, spec(&web, 2));
}

async fn an_entry_is_printed_as_get_answers_it(store: Arc<dyn Store>) {
    commit(&*store, [put(&mesh("m"), 1), put(&route("m", "web"), 7)]).await;
    for (key, json) in [
        (mesh("m"), r#"{"type":"Mesh","name":"m","logging":{"defaultBackend":"1"}}"#),
        (route("m", "web"), r#"{"type":"TrafficRoute","name":"web","mesh":"m","conf":[{"weight":7}]}"#),
    ] {
        assert_eq!(store.present().get(&key).unwrap().json, json);
    }
}

async fn lists_are_of_one_kind_in_order_and_of_one_mesh(store: Arc<dyn Store>) {
    let keys = [
        dataplane("b", "y"),
        dataplane("b", "x"),
        dataplane("a", "z"),
        dataplane("ba", "w"),
        route("b", "x"),
        mesh("b"),
    ];
    commit(&*store, keys.each_ref().map(|key| put(key, 1))).await;

    let present = store.present();
    let names = |keys: &mut dyn Iterator<Item = &Key>| keys.map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        names(&mut present.list(Kind::Dataplane, "b").map(|(key, _)| key)),
        ["Dataplane b/x", "Dataplane b/y"]
    );
    assert_eq!(
        names(&mut present.all(Kind::Dataplane).map(|(key, _)| key)),
        ["Dataplane a/z", "Dataplane b/x", "Dataplane b/y", "Dataplane ba/w"]
    );
    assert_eq!(names(&mut present.all(Kind::TrafficRoute).map(|(key, _)| key)), ["TrafficRoute b/x"]);
    assert_eq!(names(&mut present.list(Kind::Dataplane, "nowhere").map(|(key, _)| key)), [""; 0]);
}

async fn each_write_sees_those_before_it(store: Arc<dyn Store>) {
    let web = route("m", "web");
    let writes = [
        put(&mesh("m"), 1),
        put(&web, 1),
        put(&web, 1),
        put(&web, 2),
        delete(&mesh("m")),
        delete(&web),
        put(&web, 3),
    ];
    let committed = commit(&*store, writes).await;
    assert_eq!(
        committed.outcomes,
        [
            Outcome::Created,
            Outcome::Created,
            Outcome::Unchanged,
            Outcome::Configured,
            Outcome::Deleted,
            Outcome::Absent,
            Outcome::Created,
        ]
    );
    assert_eq!(committed.revision.number, 1);
    assert_eq!(store.present().get(&web).unwrap().spec, spec(&web, 3));
    assert!(store.present().get(&mesh("m")).is_none());
}

async fn a_revision_has_one_change_an_entity(store: Arc<dyn Store>) {
    let (web, api) = (route("m", "web"), route("m", "api"));
    commit(&*store, [put(&web, 1), put(&api, 1), put(&web, 2), delete(&api)]).await;
    let changes: Vec<_> =
        store.changes(0).unwrap().iter().map(|change| (change.key.clone(), change.spec.clone())).collect();
    assert_eq!(changes, [(web.clone(), Some(spec(&web, 2))), (api, None)]);
}

async fn all_of_a_transaction_or_nothing(store: Arc<dyn Store>) {
    let (web, api) = (route("m", "web"), route("m", "api"));
    commit(&*store, [put(&web, 1)]).await;
    let before = store.present();
    let refused = commit_if(&*store, Precondition::Exists(api.clone()), [put(&web, 2), put(&api, 1)]).await;
    assert!(matches!(refused, Err(StoreError::Precondition(Precondition::Exists(key))) if key == api));
    assert_eq!(*store.present(), *before);
    assert_eq!(store.changes(1), Ok(vec![]));
}

async fn a_precondition_is_about_the_present(store: Arc<dyn Store>) {
    let (web, api) = (route("m", "web"), route("m", "api"));
    let first = commit(&*store, [put(&web, 1)]).await.revision;
    let second = commit(&*store, [put(&web, 2)]).await.revision;
    let mut elsewhere = second;
    elsewhere.epoch += 1;
    for (precondition, holds) in [
        (Precondition::Exists(web.clone()), true),
        (Precondition::Exists(api.clone()), false),
        (Precondition::Absent(web.clone()), false),
        (Precondition::Absent(api.clone()), true),
        (Precondition::At(web.clone(), second), true),
        (Precondition::At(web.clone(), first), false),
        (Precondition::At(web.clone(), elsewhere), false),
        (Precondition::At(api.clone(), second), false),
    ] {
        assert_eq!(commit_if(&*store, precondition.clone(), []).await.is_ok(), holds, "{precondition}");
    }
}

async fn of_writers_that_race_on_one_revision_one_wins(store: Arc<dyn Store>) {
    let web = route("m", "web");
    let mut at = commit(&*store, [put(&web, 0)]).await.revision;
    for round in 1..=5 {
        let mut writers = JoinSet::new();
        for writer in 0..64 {
            let (store, web) = (store.clone(), web.clone());
            let content = round * 100 + writer;
            let precondition = Precondition::At(web.clone(), at);
            writers.spawn(async move {
                match commit_if(&*store, precondition, [put(&web, content)]).await {
                    Ok(committed) => Some((committed.revision, content)),
                    Err(StoreError::Precondition(_)) => None,
                    Err(error) => panic!("{error}"),
                }
            });
        }
        let winners: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
        let [(revision, content)] = winners[..] else { panic!("{} won", winners.len()) };
        assert_eq!(revision.number, at.number + 1);
        assert_eq!(store.present().get(&web).unwrap().spec, spec(&web, content));
        at = revision;
    }
}

async fn revisions_are_handed_out_in_commit_order(store: Arc<dyn Store>) {
    let mut writers = JoinSet::new();
    for writer in 0..32 {
        let store = store.clone();
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for content in 0..8 {
                let key = route(&format!("m{writer}"), &content.to_string());
                let revision = commit(&*store, [put(&key, content)]).await.revision.number;
                assert!(*store.revisions().borrow() >= revision);
                acknowledged.push((revision, key));
            }
            acknowledged
        });
    }
    let acknowledged: BTreeSet<(u64, Key)> = writers.join_all().await.into_iter().flatten().collect();
    let changes: Vec<(u64, Key)> =
        store.changes(0).unwrap().iter().map(|change| (change.revision, change.key.clone())).collect();
    assert_eq!(changes, acknowledged.into_iter().collect::<Vec<_>>());
    assert!(changes.iter().map(|(revision, _)| *revision).eq(1..=256));
}

async fn the_revision_watch_coalesces(store: Arc<dyn Store>) {
    let mut revisions = store.revisions();
    for content in 1..=10 {
        commit(&*store, [put(&route("m", "web"), content)]).await;
    }
    revisions.changed().await.unwrap();
    assert_eq!(*revisions.borrow_and_update(), 10);

    commit(&*store, [put(&route("m", "web"), 10)]).await;
    commit(&*store, [put(&dataplane("m", "web"), 1)]).await;
    revisions.changed().await.unwrap();
    assert_eq!(*revisions.borrow_and_update(), 11);
    store.put_insights(vec![(dataplane("m", "web"), insight(1))]).await.unwrap();
    store.put_secret_if_absent("global", "ca", vec![1]).await.unwrap();
    assert!(!revisions.has_changed().unwrap(), "insights and first secrets have no revision");

    drop(store);
    assert!(revisions.changed().await.is_err(), "who follows a store hears that it is gone");
}

async fn changes_are_those_after_a_revision(store: Arc<dyn Store>) {
    let (web, api) = (route("m", "web"), route("m", "api"));
    commit(&*store, [put(&web, 1), put(&api, 1)]).await;
    let mut second = transaction([delete(&web)]);
    second.author = "admin".into();
    second.at_ms = 2_000;
    store.commit(second).await.unwrap();

    let numbers = |since| {
        store.changes(since).map(|changes| changes.iter().map(|change| change.revision).collect::<Vec<_>>())
    };
    assert_eq!(numbers(0), Ok(vec![1, 1, 2]));
    assert_eq!(numbers(1), Ok(vec![2]));
    assert_eq!(numbers(2), Ok(vec![]));
    assert_eq!(numbers(3), Err(HistoryGone { oldest: 0, latest: 2 }), "that is of the future");
    let last = store.changes(1).unwrap().remove(0);
    assert_eq!((&last.key, &last.spec, &*last.author, last.at_ms), (&web, &None, "admin", 2_000));
}

async fn deleting_a_mesh_deletes_what_is_in_it_and_nothing_else(store: Arc<dyn Store>) {
    let inside = [dataplane("m", "web"), dataplane("m", "api"), route("m", "web")];
    let outside = [mesh("other"), dataplane("other", "web"), route("ma", "web")];
    let keys = [&[mesh("m")], &inside[..], &outside[..]].concat();
    commit(&*store, keys.iter().map(|key| put(key, 1)).collect::<Vec<_>>()).await;
    let insights = [&inside[0], &outside[1]].map(|key| (key.clone(), insight(1)));
    store.put_insights(insights.to_vec()).await.unwrap();

    let deleted = commit(&*store, [delete(&mesh("m"))]).await;
    assert_eq!((deleted.outcomes, deleted.revision.number), (vec![Outcome::Deleted], 2));
    let present = store.present();
    let left: BTreeSet<Key> = present.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(left, BTreeSet::from(outside.clone()));
    assert!(present.insight(&inside[0]).is_none() && present.insight(&outside[1]).is_some());

    let changes = store.changes(1).unwrap();
    assert!(changes.iter().all(|change| change.revision == 2 && change.spec.is_none()));
    let tombstones: BTreeSet<Key> = changes.iter().map(|change| change.key.clone()).collect();
    assert_eq!(tombstones, inside.iter().cloned().chain([mesh("m")]).collect());
    assert_eq!(changes.last().unwrap().key, mesh("m"), "the contents go first");
    assert_eq!(present.tombstones().cloned().collect::<BTreeSet<_>>(), tombstones);
}

async fn a_tombstone_stands_until_the_entity_is_there_again(store: Arc<dyn Store>) {
    let web = route("m", "web");
    commit(&*store, [put(&web, 1)]).await;
    assert_eq!(store.present().deleted(&web), None);
    commit(&*store, [delete(&web)]).await;
    assert_eq!(store.present().deleted(&web), Some(2));
    commit(&*store, [put(&web, 1)]).await;
    assert_eq!(store.present().deleted(&web), None);
}

async fn insights_belong_to_a_dataplane(store: Arc<dyn Store>) {
    let (web, api) = (dataplane("m", "web"), dataplane("m", "api"));
    commit(&*store, [put(&web, 1), put(&route("m", "web"), 1)]).await;
    let insights = [(&web, 1), (&api, 1), (&route("m", "web"), 1)];
    store
        .put_insights(insights.map(|(key, content)| (key.clone(), insight(content))).to_vec())
        .await
        .unwrap();
    let known: Vec<Key> = store.present().insights().map(|(key, _)| key.clone()).collect();
    assert_eq!(known, std::slice::from_ref(&web), "what there is no Dataplane for is dropped");

    store.put_insights(vec![(web.clone(), insight(2)), (web.clone(), insight(3))]).await.unwrap();
    assert_eq!(**store.present().insight(&web).unwrap(), insight(3));
    commit(&*store, [put(&web, 2)]).await;
    assert!(store.present().insight(&web).is_some(), "it stays when its Dataplane is replaced");

    commit(&*store, [delete(&web), put(&web, 2)]).await;
    assert!(store.present().insight(&web).is_none(), "a Dataplane made anew has none yet");
}

async fn a_secret_is_put_once(store: Arc<dyn Store>) {
    assert_eq!(store.secret("global", "ca"), None);
    let mut writers = JoinSet::new();
    for writer in 0..32_u8 {
        let store = store.clone();
        writers.spawn(async move { store.put_secret_if_absent("global", "ca", vec![writer]).await.unwrap() });
    }
    let answers: BTreeSet<Sealed> = writers.join_all().await.into_iter().collect();
    assert_eq!(answers.len(), 1, "all hear of the same");
    assert_eq!(store.secret("global", "ca"), answers.into_iter().next());

    store.put_secret_if_absent("global", "another", vec![7]).await.unwrap();
    store.put_secret_if_absent("globa", "l", vec![8]).await.unwrap();
    let names: Vec<_> = store.secrets("global").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["another".into(), "ca".into()]);
    assert_eq!(store.present().revision().number, 0);
}

async fn a_secret_is_replaced_by_whoever_has_seen_it(store: Arc<dyn Store>) {
    let replace = async |name: &str, before: u8, after: u8| {
        store.replace_secret("global", name, vec![before].into(), vec![after]).await.unwrap()
    };
    commit(&*store, [put(&mesh("m"), 1)]).await;
    assert_eq!(replace("ca", 0, 1).await, None, "there is none");
    store.put_secret_if_absent("global", "ca", vec![0]).await.unwrap();
    store.put_secret_if_absent("global", "another", vec![0]).await.unwrap();

    let mut revisions = store.revisions();
    revisions.mark_unchanged();
    let revision = replace("ca", 0, 1).await.unwrap();
    assert_eq!((revision.number, store.present().revision()), (2, revision));
    assert!(revisions.has_changed().unwrap(), "everybody hears of it");
    assert_eq!(store.changes(1), Ok(vec![]), "it is no change of a resource");
    assert_eq!(replace("ca", 0, 2).await, None, "that was before");
    assert_eq!(store.present().revision(), revision);
    assert_eq!(store.secret("global", "ca"), Some(vec![1].into()));
    assert_eq!(store.secret("global", "another"), Some(vec![0].into()));

    let mut writers = JoinSet::new();
    for writer in 10..42_u8 {
        let store = store.clone();
        writers.spawn(async move {
            let replaced = store.replace_secret("global", "ca", vec![1].into(), vec![writer]).await.unwrap();
            replaced.map(|_| writer)
        });
    }
    let winners: Vec<u8> = writers.join_all().await.into_iter().flatten().collect();
    assert_eq!(store.secret("global", "ca"), Some(winners.clone().into()));
    assert_eq!((winners.len(), store.present().revision().number), (1, 3));
}

async fn secrets_of_a_mesh_go_with_it(store: Arc<dyn Store>) {
    let ca_of = |mesh: &str| (mesh_secrets(mesh), format!("the key of {mesh}").into_bytes());
    let put_ca = async |mesh: &str| {
        let (scope, sealed) = ca_of(mesh);
        store.put_secret_if_absent(&scope, "ca", sealed).await
    };
    let refused = put_ca("m").await;
    assert!(matches!(refused, Err(StoreError::Precondition(Precondition::Exists(key))) if key == mesh("m")));

    commit(&*store, [put(&mesh("m"), 1), put(&mesh("ma"), 1)]).await;
    put_ca("m").await.unwrap();
    put_ca("ma").await.unwrap();
    let (scope, sealed) = ca_of("m");
    store.replace_secret(&scope, "ca", sealed.into(), vec![2]).await.unwrap();
    store.put_secret_if_absent("global", "ca", vec![1]).await.unwrap();
    commit(&*store, [delete(&mesh("m"))]).await;
    commit(&*store, [put(&mesh("m"), 1)]).await;
    assert_eq!(store.secrets(&mesh_secrets("m")), [], "a mesh made anew has a new CA");
    assert_eq!(store.secret(&mesh_secrets("ma"), "ca"), Some(ca_of("ma").1.into()));
    assert_eq!(store.secret("global", "ca"), Some(vec![1].into()));
}

async fn reading_does_not_read_a_database(store: Arc<dyn Store>) {
    commit(&*store, [put(&dataplane("m", "web"), 1)]).await;
    let before = store.reads();
    commit(&*store, [put(&dataplane("m", "web"), 2)]).await;
    store.put_insights(vec![(dataplane("m", "web"), insight(1))]).await.unwrap();
    store.put_secret_if_absent("global", "ca", vec![1]).await.unwrap();
    store.replace_secret("global", "ca", vec![1].into(), vec![2]).await.unwrap();
    assert!(store.secret("global", "ca").is_some());
    store.changes(0).unwrap();
    assert_eq!(store.present().iter().count(), 1);
    assert_eq!(store.reads(), before);
}

async fn a_put_under_a_key_of_another_kind_is_the_caller_s_panic(store: Arc<dyn Store>) {
    let wrong = Write::Put(route("m", "web"), spec(&dataplane("m", "web"), 1));
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(store.commit(transaction([wrong])))));
    assert!(panicked.is_err());
    assert_eq!(commit(&*store, [put(&mesh("m"), 1)]).await.outcomes, [Outcome::Created], "the store goes on");
}
