//! Who waits for a turn to plan keeps the place in the queue, as long as it can use the turn.

use std::{pin::pin, sync::Arc, time::Duration};

use control_plane::feed::Feed;
use futures_util::FutureExt as _;
use model::ProxyId;
use tokio::time::Instant;
use xds::{Refusal, Subscriber as _};

use crate::world::{World, dataplane, mesh, next};

/// As a stream asks that is called away by each message of its client, once everything else that can has happened.
async fn has_news(feed: &mut Feed) -> bool {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    pin!(feed.next()).now_or_never().is_some()
}

async fn two_proxies(taken_within: Duration) -> (World, Feed, Feed) {
    let mut world = World::with_memory();
    let planner = Arc::get_mut(&mut world.planner).expect("nobody else has it yet");
    planner.turns.taken_within = taken_within;
    world.put([mesh(), dataplane("web", "web", 1, &["api"]), dataplane("app", "app", 2, &["api"])]).await;
    let (web, app) = (world.connect("web"), world.connect("app"));
    (world, web, app)
}

#[tokio::test]
async fn a_message_of_the_client_costs_no_feed_its_place() {
    let (world, mut web, mut app) = two_proxies(Duration::from_mins(1)).await;
    let turns = &world.planner.turns;
    for (semaphore, is_first) in [(&turns.first, true), (&turns.further, false)] {
        if !is_first {
            world.put([dataplane("api", "api", 3, &[])]).await;
        }
        let mut taken = semaphore.clone().acquire_many_owned(2).await.unwrap();
        for feed in [&mut web, &mut app] {
            assert!(!has_news(feed).await);
        }
        assert!(!has_news(&mut web).await);
        drop(taken.split(1));
        assert!(!has_news(&mut app).await, "web has waited longer");
        assert!(has_news(&mut web).await);
        assert!(has_news(&mut app).await);
    }
}

/// A stream sleeps while its client does not read.
#[tokio::test]
async fn a_turn_that_comes_to_a_stream_that_sleeps_passes_on() {
    let (world, mut web, mut app) = two_proxies(Duration::from_millis(1)).await;
    next(&mut web).await;
    next(&mut app).await;
    world.put([dataplane("api", "api", 3, &[])]).await;
    let turns = &world.planner.turns;
    let mut taken = turns.further.clone().acquire_many_owned(2).await.unwrap();
    assert!(!has_news(&mut web).await);
    drop(taken.split(1));
    next(&mut app).await;
    next(&mut web).await;
}

#[tokio::test]
async fn a_token_ends_also_while_its_stream_waits_for_a_turn() {
    let (world, ..) = two_proxies(Duration::from_mins(1)).await;
    let proxy = ProxyId::new("default", "web");
    let subscription = world.recorder.open(&proxy);
    let mut web = Feed::new(
        world.planner.clone(),
        proxy,
        plan::Announced::default(),
        subscription,
        Some(Instant::now()),
    );
    let _taken = world.planner.turns.first.clone().acquire_many_owned(2).await.unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(30), web.next()).await;
    let refused = refused.expect("it does not wait for the turn").err();
    assert!(matches!(refused, Some(Refusal::Unauthenticated(_))), "{refused:?}");
}
