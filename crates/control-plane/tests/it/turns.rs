//! Who waits for a turn to plan keeps the place in the queue, as long as it can use the turn.

use std::pin::pin;

use control_plane::feed::Feed;
use futures_util::FutureExt as _;
use model::ProxyId;
use tokio::time::Instant;
use xds::{Counts, Refusal, ResourceType, SessionStatus, Subscriber as _};

use crate::world::{World, dataplane, mesh, next};

/// As a stream asks that is called away by each message of its client.
fn has_news(feed: &mut Feed) -> bool {
    pin!(feed.next()).now_or_never().is_some()
}

async fn two_proxies() -> (World, Feed, Feed) {
    let world = World::with_memory();
    world.put([mesh(), dataplane("web", "web", 1, &["api"]), dataplane("app", "app", 2, &["api"])]).await;
    let (web, app) = (world.connect("web"), world.connect("app"));
    (world, web, app)
}

#[tokio::test]
async fn a_message_of_the_client_costs_no_feed_its_place() {
    let (world, mut web, mut app) = two_proxies().await;
    let turns = &world.planner.turns;
    for (semaphore, is_first) in [(&turns.first, true), (&turns.further, false)] {
        if !is_first {
            world.put([dataplane("api", "api", 3, &[])]).await;
        }
        let mut taken = semaphore.clone().acquire_many_owned(2).await.unwrap();
        let have_news = [has_news(&mut web), has_news(&mut app), has_news(&mut web)];
        assert_eq!(have_news, [false; 3]);
        drop(taken.split(1));
        assert!(!has_news(&mut app), "web has waited longer");
        assert!(has_news(&mut web));
        assert!(has_news(&mut app));
    }
}

#[tokio::test]
async fn who_is_sent_something_holds_up_nobody_by_not_reading_it() {
    let (world, mut web, mut app) = two_proxies().await;
    next(&mut web).await;
    next(&mut app).await;
    world.put([dataplane("api", "api", 3, &[])]).await;
    let turns = &world.planner.turns;
    let mut taken = turns.further.clone().acquire_many_owned(2).await.unwrap();
    assert!(!has_news(&mut web));
    let sent = Counts { sent: 1, ..Counts::default() };
    web.observe(&SessionStatus {
        counts: [(ResourceType::Cluster, sent)].into(),
        ..SessionStatus::default()
    });
    drop(taken.split(1));
    assert!(has_news(&mut app));
    assert!(has_news(&mut web), "it asks again when it has been read");
}

#[tokio::test]
async fn a_token_ends_also_while_its_stream_waits_for_a_turn() {
    let (world, ..) = two_proxies().await;
    let proxy = ProxyId::new("default", "web");
    let subscription = world.recorder.open(&proxy);
    let mut web = Feed::new(world.planner.clone(), proxy, subscription, Some(Instant::now()));
    let _taken = world.planner.turns.first.clone().acquire_many_owned(2).await.unwrap();
    let refused = tokio::time::timeout(std::time::Duration::from_secs(30), web.next()).await;
    let refused = refused.expect("it does not wait for the turn").err();
    assert!(matches!(refused, Some(Refusal::Unauthenticated(_))), "{refused:?}");
}
