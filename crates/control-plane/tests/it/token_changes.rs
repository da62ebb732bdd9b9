//! What becomes of streams and tokens when a token is revoked, or a key made or retired.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use control_plane::{admissions::AdmittedFeed, authority::Streams, secrets};
use futures_util::FutureExt as _;
use identity::{SystemRandom, TokenError};
use store::{EmbeddedStore, Store, TokenChange};
use xds::{Authority as _, Node, Refusal, Subscriber as _};

use crate::{
    authority::{authenticate, streams, token},
    world::{World, dataplane},
};

/// A new token of this Dataplane, and a stream that it has opened and that has been told everything.
async fn open(streams: &Streams, name: &str) -> (String, AdmittedFeed) {
    let token = token(&streams.token_keys.keyring(), "default", name, None, SystemTime::now());
    let peer = authenticate(streams, Some(&token)).unwrap();
    let node = Node { id: format!("default.{name}"), ..Node::default() };
    let mut feed = streams.subscribe(peer, &node).await.unwrap();
    feed.next().await.unwrap();
    (token, feed)
}

async fn change(world: &World, change: TokenChange) {
    world.store.change_tokens(change, 0).await.unwrap();
    world.settle().await;
}

async fn revoke(world: &World, streams: &Streams, token: &str) {
    let id = streams.token_keys.keyring().token_id(token).unwrap();
    change(world, TokenChange::Revoke { jti: id.jti, exp: id.exp }).await;
}

/// Why the stream ends.
async fn ended(feed: &mut AdmittedFeed) -> String {
    let next = tokio::time::timeout(Duration::from_secs(30), feed.next()).await;
    refusal(next.expect("the stream ends"))
}

fn refusal(result: Result<impl Sized, Refusal>) -> String {
    match result.err() {
        Some(Refusal::Unauthenticated(sentence)) => sentence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_revocation_of_its_token_and_others_stay() {
    let world = World::with_memory();
    let streams = streams(&world).await;
    let (lost, mut web) = open(&streams, "web").await;
    let (_, mut web_again) = open(&streams, "web").await;
    let (_, mut api) = open(&streams, "api").await;
    let plans = world.metrics.plans.get();
    assert!(web.next().now_or_never().is_none());

    revoke(&world, &streams, &lost).await;
    streams.admissions.catch_up();
    let sentence = ended(&mut web).await;
    assert!(sentence.starts_with("the token was revoked"), "{sentence}");
    assert!(web_again.next().now_or_never().is_none(), "another token of the same Dataplane holds");
    assert!(api.next().now_or_never().is_none());
    assert_eq!(world.metrics.plans.get(), plans, "nobody was woken");

    let again = refusal(authenticate(&streams, Some(&lost)));
    assert_eq!(again, sentence);
    world.put([dataplane("web", "web", 3, &[])]).await;
    web_again.next().await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_revoked_between_its_check_and_its_stream_opens_none() {
    let world = World::with_memory();
    let streams = streams(&world).await;
    let token = token(&streams.token_keys.keyring(), "default", "web", None, SystemTime::now());
    let peer = authenticate(&streams, Some(&token)).unwrap();
    revoke(&world, &streams, &token).await;
    let node = Node { id: "default.web".to_owned(), ..Node::default() };
    refusal(streams.subscribe(peer, &node).await);
}

#[tokio::test]
async fn streams_end_with_the_key_that_has_signed_their_tokens() {
    let world = World::with_memory();
    let streams = streams(&world).await;
    let old = streams.token_keys.keyring().signing_kid().to_owned();
    let (old_token, mut web) = open(&streams, "web").await;

    let new = api::TokenKeys::generate(&*streams.token_keys).unwrap();
    change(&world, TokenChange::PutKey { kid: new.kid.clone(), sealed: new.sealed }).await;
    streams.admissions.catch_up();
    assert_eq!(streams.token_keys.keyring().signing_kid(), new.kid);
    let (_, mut api) = open(&streams, "api").await;
    assert!(web.next().now_or_never().is_none(), "the old key still verifies");

    change(&world, TokenChange::RetireKey { kid: old.clone() }).await;
    streams.admissions.catch_up();
    assert!(ended(&mut web).await.contains(&old));
    assert!(api.next().now_or_never().is_none());
    refusal(authenticate(&streams, Some(&old_token)));
}

#[tokio::test]
async fn what_is_done_to_the_tokens_holds_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key_path) = (folder.path().join("kuma.db"), folder.path().join("secrets.key"));
    let start = async || {
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&path, 1).unwrap());
        let secrets =
            secrets::open(&store, &key_path, &SystemRandom::new(), SystemTime::now()).await.unwrap();
        (store, secrets.token_keys)
    };
    let (store, keys) = start().await;
    let old = keys.keyring().signing_kid().to_owned();
    let mut kids = vec![old];
    // Enough that the order of their names is not that of their ages.
    for _ in 0..5 {
        let new = api::TokenKeys::generate(&*keys).unwrap();
        kids.push(new.kid.clone());
        store.change_tokens(TokenChange::PutKey { kid: new.kid, sealed: new.sealed }, 0).await.unwrap();
    }
    store.change_tokens(TokenChange::RetireKey { kid: kids.remove(0) }, 0).await.unwrap();
    let now = SystemTime::now();
    let [lost, kept] = [(); 2].map(|()| token(&keys.keyring(), "default", "web", None, now));
    let jti = keys.keyring().token_id(&lost).unwrap().jti;
    store.change_tokens(TokenChange::Revoke { jti: jti.clone(), exp: None }, 0).await.unwrap();
    drop((store, keys));

    let (_, keys) = start().await;
    let keyring = keys.keyring();
    assert_eq!(Some(keyring.signing_kid()), kids.last().map(String::as_str));
    assert!(keyring.kids().eq(kids.iter().map(String::as_str).collect::<BTreeSet<_>>()));
    assert_eq!(keyring.verify_dataplane(&lost, now), Err(TokenError::Revoked { jti }));
    assert!(keyring.verify_dataplane(&kept, now).is_ok());
}

#[tokio::test]
async fn the_admin_token_is_made_anew_when_it_is_revoked_or_its_key_is_retired() {
    let world = World::with_memory();
    let streams = streams(&world).await;
    let folder = tempfile::tempdir().unwrap();
    let following = tokio::spawn(secrets::follow_tokens(
        world.store.clone(),
        streams.token_keys.clone(),
        streams.admissions.clone(),
        folder.path().to_owned(),
    ));
    let file = folder.path().join("admin-token");
    let holds = async |not: &str| {
        let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
        loop {
            let token = std::fs::read_to_string(&file).unwrap_or_default();
            let keyring = streams.token_keys.keyring();
            if token != not && keyring.verify_admin(&token, SystemTime::now()).is_ok() {
                return token;
            }
            assert!(tokio::time::Instant::now() < deadline, "no new admin token");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let first = holds("").await;
    revoke(&world, &streams, &first).await;
    let second = holds(&first).await;

    let old = streams.token_keys.keyring().signing_kid().to_owned();
    let new = api::TokenKeys::generate(&*streams.token_keys).unwrap();
    change(&world, TokenChange::PutKey { kid: new.kid, sealed: new.sealed }).await;
    change(&world, TokenChange::RetireKey { kid: old }).await;
    holds(&second).await;
    following.abort();
}

#[tokio::test]
async fn what_is_taken_back_is_refused_also_beside_a_key_that_cannot_be_opened() {
    let world = World::with_memory();
    let streams = streams(&world).await;
    let now = SystemTime::now();
    let retired = streams.token_keys.keyring();
    let retired_token = token(&retired, "default", "web", None, now);
    let kept = api::TokenKeys::generate(&*streams.token_keys).unwrap();
    change(&world, TokenChange::PutKey { kid: kept.kid.clone(), sealed: kept.sealed }).await;
    let kept_token = token(&streams.token_keys.keyring(), "default", "web", None, now);

    change(&world, TokenChange::PutKey { kid: "0badc0de".to_owned(), sealed: b"no seal".to_vec() }).await;
    let keyring = streams.token_keys.keyring();
    assert_eq!(keyring.signing_kid(), kept.kid);
    assert!(keyring.verify_dataplane(&retired_token, now).is_ok());

    change(&world, TokenChange::RetireKey { kid: retired.signing_kid().to_owned() }).await;
    let keyring = streams.token_keys.keyring();
    let kid = retired.signing_kid().to_owned();
    assert_eq!(keyring.verify_dataplane(&retired_token, now), Err(TokenError::UnknownKey { kid }));
    assert!(keyring.verify_dataplane(&kept_token, now).is_ok());
}

#[tokio::test]
async fn no_stream_that_ends_waits_for_the_file_of_the_admin_token() {
    let world = World::with_memory();
    let streams = streams(&world).await;
    let (first, mut web) = open(&streams, "web").await;
    let (second, mut api) = open(&streams, "api").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("admin-token");
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    // Whoever reads it waits as long as this may still write.
    let _writer = std::fs::File::options().read(true).write(true).open(&file).unwrap();
    let following = tokio::spawn(secrets::follow_tokens(
        world.store.clone(),
        streams.token_keys.clone(),
        streams.admissions.clone(),
        folder.path().to_owned(),
    ));
    for (token, stream) in [(first, &mut web), (second, &mut api)] {
        revoke(&world, &streams, &token).await;
        ended(stream).await;
    }
    following.abort();
}
