//! Work is proportional to what changed: plans are counted, not believed.

use std::pin::pin;

use control_plane::feed::Feed;
use futures_util::{FutureExt as _, future::join_all};
use model::Kind;
use xds::{ResourceType, Snapshot, Subscriber as _};

use crate::world::{World, dataplane, mesh, next};

const PROXIES: usize = 1_000;
const SERVICES: usize = 100;

/// A thousand proxies in a hundred services, each using the next service's.
async fn ring() -> (World, Vec<Feed>) {
    let world = World::with_memory();
    let name = |i: usize| format!("dp-{i:04}");
    let service = |i: usize| format!("service-{:02}", i % SERVICES);
    let all = (0..PROXIES).map(|i| dataplane(&name(i), &service(i), i, &[&service(i + 1)]));
    world.put(std::iter::once(mesh()).chain(all)).await;
    let mut feeds: Vec<_> = (0..PROXIES).map(|i| world.connect(&name(i))).collect();
    join_all(feeds.iter_mut().map(next)).await;
    (world, feeds)
}

fn is_empty(snapshot: &Snapshot) -> bool {
    ResourceType::ALL.into_iter().all(|resource_type| snapshot.of_type(resource_type).is_empty())
}

fn has_news(feed: &mut Feed) -> bool {
    pin!(feed.next()).now_or_never().is_some()
}

#[tokio::test]
async fn one_endpoint_plans_its_subscribers_and_nobody_else() {
    let (world, mut feeds) = ring().await;
    let before = world.metrics.plans.get();

    world.put([dataplane("new", "service-01", PROXIES, &[])]).await;
    let told: Vec<_> = (0..PROXIES).filter(|&i| has_news(&mut feeds[i])).collect();

    let subscribers: Vec<_> = (0..PROXIES).filter(|i| i % SERVICES == 0).collect();
    assert_eq!(told, subscribers);
    assert_eq!(world.metrics.plans.get() - before, subscribers.len() as u64);
}

#[tokio::test]
async fn a_route_for_one_source_plans_that_source_s_proxies_and_nobody_else() {
    let (world, mut feeds) = ring().await;
    let before = world.metrics.plans.get();

    let route = r#"{"sources":[{"match":{"service":"service-07"}}],"destinations":[{"match":{"service":"service-08"}}],
        "conf":[{"weight":1,"destination":{"service":"service-08","version":"2"}}]}"#;
    world.put([(model::Key::new(Kind::TrafficRoute, "default", "r"), route.to_owned())]).await;
    let told: Vec<_> = (0..PROXIES).filter(|&i| has_news(&mut feeds[i])).collect();

    let sources: Vec<_> = (0..PROXIES).filter(|i| i % SERVICES == 7).collect();
    assert_eq!(told, sources);
    assert_eq!(world.metrics.plans.get() - before, sources.len() as u64);
}

#[tokio::test]
async fn what_changes_nothing_for_a_proxy_sends_it_nothing() {
    let world = World::with_memory();
    world.put([mesh(), dataplane("web", "web", 1, &["api"])]).await;
    let mut web = world.connect("web");
    next(&mut web).await;

    // The first endpoint of a service that had none is news, the same again is not, and insights never are.
    world.put([dataplane("api", "api", 2, &[])]).await;
    assert!(has_news(&mut web));
    world.put([dataplane("api", "api", 2, &[])]).await;
    assert!(!has_news(&mut web));
    world.recorder.flush().await;
    assert!(!has_news(&mut web));
}

#[tokio::test]
async fn an_empty_configuration_is_for_an_explicit_delete_only() {
    let world = World::with_memory();
    world.put([mesh()]).await;
    let mut web = world.connect("web");
    assert!(!has_news(&mut web), "a Dataplane that nobody has applied is not known, not empty");

    world.put([dataplane("web", "web", 1, &[])]).await;
    let configured = next(&mut web).await;
    assert!(!is_empty(&configured));

    world.delete(model::Key::new(Kind::Dataplane, "default", "web")).await;
    let deleted = next(&mut web).await;
    assert!(is_empty(&deleted));
    let mut again = world.connect("web");
    let remembered = next(&mut again).await;
    assert!(is_empty(&remembered), "the tombstone is remembered");
}

#[tokio::test]
async fn equal_content_is_encoded_once_for_all_who_need_it() {
    let world = World::with_memory();
    let users = ["a", "b"].map(|name| dataplane(name, name, name.len(), &["api"]));
    world.put([mesh(), dataplane("api", "api", 9, &[])].into_iter().chain(users)).await;
    let (mut a, mut b) = (world.connect("a"), world.connect("b"));
    let (a, b) = (next(&mut a).await, next(&mut b).await);
    let endpoints = [a, b].map(|snapshot| snapshot.get(ResourceType::Endpoint, "api").cloned().unwrap());
    assert!(std::sync::Arc::ptr_eq(&endpoints[0], &endpoints[1]));
}
