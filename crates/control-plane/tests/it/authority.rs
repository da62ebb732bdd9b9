//! Who may open a stream, with real tokens.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use control_plane::{
    admissions::Admissions,
    authority::{Peer, Streams},
    token_keys::{StoredTokenKeys, sealed_key},
};
use identity::{Keyring, LEEWAY, SecretsKey, SigningKey, SystemRandom};
use xds::{Authority as _, Node, Refusal, Subscriber as _};

use crate::world::{World, dataplane, mesh};

/// Another control plane's.
fn foreign_keyring() -> Keyring {
    let key = SigningKey::generate(&SystemRandom::new()).unwrap();
    let kid = key.kid().to_owned();
    Keyring::new(vec![key], &kid, "fingerprint").unwrap()
}

pub(crate) async fn streams(world: &World) -> Streams {
    world.put([mesh(), dataplane("web", "web", 1, &[]), dataplane("api", "api", 2, &[])]).await;
    let secrets_key = SecretsKey::generate(&SystemRandom::new()).unwrap();
    let first = sealed_key(&secrets_key, &SystemRandom::new()).unwrap();
    world.store.put_first_token_key(&first.kid, first.sealed).await.unwrap();
    let keys = StoredTokenKeys::open(world.store.clone(), secrets_key, "fingerprint".to_owned()).unwrap();
    let token_keys = Arc::new(keys);
    Streams {
        admissions: Arc::new(Admissions::new(token_keys.clone())),
        token_keys,
        planner: world.planner.clone(),
        recorder: world.recorder.clone(),
    }
}

pub(crate) fn token(
    keyring: &Keyring,
    mesh: &str,
    name: &str,
    valid_for: Option<Duration>,
    at: SystemTime,
) -> String {
    keyring.issue_dataplane(mesh, name, valid_for, at, &SystemRandom::new()).unwrap()
}

pub(crate) fn authenticate(streams: &Streams, token: Option<&str>) -> Result<Peer, Refusal> {
    streams.authenticate(token, SocketAddr::from(([127, 0, 0, 1], 1)))
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_unauthenticated() {
    let world = World::with_memory();
    let streams = streams(&world).await;
    let now = SystemTime::now();
    let an_hour_ago = now - Duration::from_hours(1);
    let expired =
        token(&streams.token_keys.keyring(), "default", "web", Some(Duration::from_mins(1)), an_hour_ago);
    let foreign = token(&foreign_keyring(), "default", "web", None, now);
    for presented in [None, Some(""), Some("garbage"), Some(expired.as_str()), Some(foreign.as_str())] {
        let refused = authenticate(&streams, presented).unwrap_err();
        let Refusal::Unauthenticated(sentence) = refused else { panic!("{presented:?}: {refused}") };
        assert!(
            !presented.is_some_and(|it| it.len() > 20 && sentence.contains(it)),
            "a token is never repeated"
        );
    }
}

#[tokio::test]
async fn a_token_opens_streams_for_its_own_dataplane_alone() {
    let world = World::with_memory();
    let streams = streams(&world).await;
    let claims = |mesh: &str, name: &str| {
        let token = token(&streams.token_keys.keyring(), mesh, name, None, SystemTime::now());
        authenticate(&streams, Some(&token)).unwrap()
    };
    let node = |id: &str| Node { id: id.to_owned(), ..Node::default() };

    assert!(streams.subscribe(claims("default", "web"), &node("default.web")).await.is_ok());
    assert!(streams.subscribe(claims("default", "web"), &node("default.web.default")).await.is_ok());
    let refused = [
        (claims("default", "web"), "default.api"),
        (claims("other", "web"), "default.web"),
        (claims("default", "web"), "nonsense"),
        (claims("other", "web"), "other.web"),
    ];
    let mut verdicts = Vec::new();
    for (claims, id) in refused {
        verdicts.push(streams.subscribe(claims, &node(id)).await.err().unwrap());
    }
    assert!(matches!(
        &verdicts[..],
        [
            Refusal::PermissionDenied(_),
            Refusal::PermissionDenied(_),
            Refusal::InvalidArgument(_),
            Refusal::NotFound(_)
        ]
    ));
}

#[tokio::test]
async fn a_stream_ends_when_its_token_does() {
    let world = World::with_memory();
    let streams = streams(&world).await;
    // It ended some minutes ago, and its leeway ends in two seconds.
    let valid_for = Duration::from_mins(1);
    let issued = SystemTime::now() - valid_for - LEEWAY + Duration::from_secs(2);
    let token = token(&streams.token_keys.keyring(), "default", "web", Some(valid_for), issued);
    let claims = authenticate(&streams, Some(&token)).unwrap();
    let node = Node { id: "default.web".to_owned(), ..Node::default() };
    let mut feed = streams.subscribe(claims, &node).await.unwrap();
    feed.next().await.unwrap();
    assert!(matches!(feed.next().await, Err(Refusal::Unauthenticated(_))));
}
