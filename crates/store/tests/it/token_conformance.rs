//! The rules of which tokens hold, for every backend as those of `conformance`.

use std::sync::Arc;

use store::{REVOCATIONS_MAX, Revocation, Store, TOKEN_KEYS_MAX, TokenChange, TokenOutcome, TokensChanged};
use tokio::task::JoinSet;

use crate::{
    conformance::on_every_store,
    fixtures::{EPOCH, commit, mesh, put, route},
};

on_every_store! {
    a_revoked_token_stays_revoked_and_takes_one_revision
    a_change_of_the_tokens_is_no_change_of_a_resource
    the_youngest_token_key_signs_and_stays
    the_first_token_key_is_put_once
    revocations_that_are_moot_are_forgotten
    revocations_and_token_keys_have_an_upper_bound
}

async fn a_revoked_token_stays_revoked_and_takes_one_revision(store: Arc<dyn Store>) {
    commit(&*store, [put(&mesh("m"), 1)]).await;
    for (jti, exp, outcome, revision) in [
        ("a", Some(5_000), TokenOutcome::Changed, 2),
        ("a", None, TokenOutcome::Unchanged, 2),
        ("b", None, TokenOutcome::Changed, 3),
    ] {
        let changed = change_tokens(&*store, revoke(jti, exp)).await;
        assert_eq!((changed.outcome, changed.revision.number), (outcome, revision));
        assert_eq!((store.present().revision(), *store.revisions().borrow()), (changed.revision, revision));
    }
    let present = store.present();
    let revoked: Vec<_> = present.tokens().revocations().map(|(jti, it)| (&**jti, *it)).collect();
    let revocation = |revision, exp| Revocation { revision, exp };
    assert_eq!(revoked, [("a", revocation(2, Some(5_000))), ("b", revocation(3, None))]);
}

async fn a_change_of_the_tokens_is_no_change_of_a_resource(store: Arc<dyn Store>) {
    let web = route("m", "web");
    commit(&*store, [put(&web, 1)]).await;
    change_tokens(&*store, revoke("a", None)).await;
    let tokens = store.present().tokens().clone();
    assert_eq!(store.changes(1), Ok(vec![]), "it was revision 2");
    commit(&*store, [put(&web, 2)]).await;
    let revisions: Vec<_> = store.changes(0).unwrap().iter().map(|change| change.revision).collect();
    assert_eq!(revisions, [1, 3]);
    assert!(Arc::ptr_eq(&tokens, store.present().tokens()), "whoever has these has the latest");
}

async fn the_youngest_token_key_signs_and_stays(store: Arc<dyn Store>) {
    store.put_first_token_key("ffffffff", vec![1]).await.unwrap();
    for (change, outcome, expected) in [
        (put_key("00000001"), TokenOutcome::Changed, &["ffffffff", "00000001"][..]),
        (put_key("00000001"), TokenOutcome::Unchanged, &["ffffffff", "00000001"]),
        (put_key("eeeeeeee"), TokenOutcome::Changed, &["ffffffff", "00000001", "eeeeeeee"]),
        (retire_key("eeeeeeee"), TokenOutcome::KeySigns, &["ffffffff", "00000001", "eeeeeeee"]),
        (retire_key("12345678"), TokenOutcome::NoSuchKey, &["ffffffff", "00000001", "eeeeeeee"]),
        (retire_key("00000001"), TokenOutcome::Changed, &["ffffffff", "eeeeeeee"]),
        (retire_key("ffffffff"), TokenOutcome::Changed, &["eeeeeeee"]),
        (retire_key("eeeeeeee"), TokenOutcome::KeySigns, &["eeeeeeee"]),
    ] {
        let before = store.present().revision().number;
        let changed = change_tokens(&*store, change.clone()).await;
        assert_eq!(changed.outcome, outcome, "{change:?}");
        let taken = u64::from(outcome == TokenOutcome::Changed);
        assert_eq!(changed.revision.number, before + taken, "{change:?}");
        assert_eq!(kids(&*store), expected, "{change:?}");
    }
}

async fn the_first_token_key_is_put_once(store: Arc<dyn Store>) {
    store.put_first_token_key("00000001", vec![1]).await.unwrap();
    store.put_first_token_key("00000002", vec![2]).await.unwrap();
    assert_eq!(kids(&*store), ["00000001"]);
    assert_eq!(store.present().tokens().keys()[0].1.sealed.to_vec(), [1]);
    assert_eq!(store.present().revision().number, 0);
}

async fn revocations_that_are_moot_are_forgotten(store: Arc<dyn Store>) {
    let revoked =
        || store.present().tokens().revocations().map(|(jti, _)| jti.to_string()).collect::<Vec<_>>();
    store.put_first_token_key("00000001", vec![1]).await.unwrap();
    for (jti, exp) in [("ended", Some(10)), ("holds", Some(20)), ("endless", None)] {
        change_tokens(&*store, revoke(jti, exp)).await;
    }
    store.change_tokens(put_key("00000002"), 20).await.unwrap();
    assert_eq!(revoked(), ["endless", "holds"], "a token may end in the very second");
    change_tokens(&*store, revoke("new", None)).await;
    assert_eq!(revoked(), ["endless", "holds", "new"]);
    change_tokens(&*store, retire_key("00000001")).await;
    assert_eq!(revoked(), ["new"], "those before were of the key that has gone");
}

async fn revocations_and_token_keys_have_an_upper_bound(store: Arc<dyn Store>) {
    store.put_first_token_key("00000000", vec![1]).await.unwrap();
    let mut changes: Vec<_> = (1..TOKEN_KEYS_MAX).map(|i| put_key(&format!("{i:08x}"))).collect();
    changes.extend((0..REVOCATIONS_MAX).map(|i| revoke(&i.to_string(), Some(1))));
    // So many at a time share a sync of the disk.
    for changes in changes.chunks(500) {
        let mut changing = JoinSet::new();
        for change in changes.iter().cloned() {
            let store = store.clone();
            changing.spawn(async move { change_tokens(&*store, change).await.outcome });
        }
        assert!(changing.join_all().await.iter().all(|outcome| *outcome == TokenOutcome::Changed));
    }
    let outcome_of = async |change| change_tokens(&*store, change).await.outcome;
    assert_eq!(outcome_of(put_key("ffffffff")).await, TokenOutcome::TooManyKeys);
    assert_eq!(outcome_of(revoke("one more", None)).await, TokenOutcome::TooManyRevoked);
    assert_eq!(outcome_of(revoke("0", None)).await, TokenOutcome::Unchanged);
    let later = store.change_tokens(revoke("one more", None), 2).await.unwrap();
    assert_eq!(later.outcome, TokenOutcome::Changed, "those that have ended make room");
}

fn kids(store: &dyn Store) -> Vec<String> {
    store.present().tokens().keys().iter().map(|(kid, _)| kid.to_string()).collect()
}

async fn change_tokens(store: &dyn Store, change: TokenChange) -> TokensChanged {
    store.change_tokens(change, 0).await.unwrap()
}

fn revoke(jti: &str, exp: Option<u64>) -> TokenChange {
    TokenChange::Revoke { jti: jti.to_owned(), exp }
}

fn put_key(kid: &str) -> TokenChange {
    TokenChange::PutKey { kid: kid.to_owned(), sealed: vec![7; 8] }
}

fn retire_key(kid: &str) -> TokenChange {
    TokenChange::RetireKey { kid: kid.to_owned() }
}
