//! What whoever inspects a proxy learns, from real plans, feeds and sessions; only Envoy is played.

use std::sync::Arc;

use api::{Detail, Inspect as _, InspectedResource, Inspection, ResourceState};
use control_plane::inspect::Inspector;
use model::{Key, Kind, ProxyId};

use crate::{
    proxy::Proxy,
    world::{World, dataplane, mesh},
};

const OUTBOUND: &str = "outbound:127.0.0.1:20000";

fn inspector(world: &World) -> Inspector {
    Inspector { store: world.store.clone(), planner: world.planner.clone() }
}

fn inspect(world: &World, name: &str) -> Inspection {
    inspector(world).inspect(&ProxyId::new("default", name), Detail::Summary).expect("it is there")
}

fn resource<'a>(inspection: &'a Inspection, message: &str, name: &str) -> &'a InspectedResource {
    let is_it = |it: &&InspectedResource| it.type_url.ends_with(message) && &*it.name == name;
    inspection.resources.iter().find(is_it).expect("it is among them")
}

fn states(inspection: &Inspection) -> Vec<ResourceState> {
    let mut states: Vec<_> = inspection.resources.iter().map(|it| it.state).collect();
    states.dedup();
    states
}

async fn shop() -> World {
    let world = World::with_memory();
    world.put([mesh(), dataplane("web", "web", 1, &["api"]), dataplane("api-1", "api", 2, &[])]).await;
    world
}

#[tokio::test]
async fn without_a_stream_everything_is_intended_and_nothing_sent() {
    let world = shop().await;
    let inspection = inspect(&world, "web");
    assert_eq!((inspection.streams.len(), states(&inspection)), (0, vec![ResourceState::NotSent]));
    assert_eq!(inspection.revision, world.store.present().revision());
    let names: Vec<_> = inspection.resources.iter().map(|it| (it.type_url, &*it.name)).collect();
    let clusters = names.iter().filter(|(type_url, _)| type_url.ends_with("Cluster"));
    assert_eq!(clusters.map(|(_, name)| *name).collect::<Vec<_>>(), ["api", "localhost:80"]);
    assert!(names[0].0.ends_with("Cluster") && names[names.len() - 1].0.ends_with("TypedExtensionConfig"));
    assert!(inspector(&world).inspect(&ProxyId::new("default", "nobody"), Detail::Summary).is_none());
}

#[tokio::test]
async fn what_is_acknowledged_has_its_version_and_what_is_rejected_envoy_s_words_and_its_dataplane() {
    let world = shop().await;
    let mut web = Proxy::connect(&world, "web");
    let listeners = web.start().await;
    let inspection = inspect(&world, "web");
    let sent = resource(&inspection, "Listener", OUTBOUND);
    assert_eq!((sent.state, &sent.acknowledged), (ResourceState::Pending, &None));

    let words = "cannot bind '127.0.0.1:20000': Address already in use";
    web.answer(&listeners, Some(&format!("Error adding/updating listener(s) {OUTBOUND}: {words}\n")));
    let inspection = inspect(&world, "web");
    let cluster = resource(&inspection, "Cluster", "api");
    assert_eq!(cluster.state, ResourceState::Synced);
    assert_eq!(cluster.acknowledged.as_ref().map(|it| &it.version), cluster.version.as_ref());

    let rejected = resource(&inspection, "Listener", OUTBOUND);
    assert_eq!((rejected.state, rejected.error.as_deref()), (ResourceState::Rejected, Some(words)));
    let key = Key::new(Kind::Dataplane, "default", "web");
    let revision = world.store.present().get(&key).unwrap().revision;
    assert_eq!(rejected.sources, [api::Source { key, revision }]);

    // Envoy has taken it, and does not say so: it is offered again by itself.
    let together = resource(&inspection, "Listener", "inbound:127.0.1.1:8080");
    assert_eq!((together.state, &together.error), (ResourceState::Pending, &None));
    let filter = resource(&inspection, "TypedExtensionConfig", &format!("tcp:{OUTBOUND}"));
    assert_eq!(filter.state, ResourceState::NotSent, "nobody has asked for it");

    let [stream] = &inspection.streams[..] else { panic!("one is open: {inspection:?}") };
    let insight = async {
        world.recorder.flush().await;
        world.store.present().insight(&Key::new(Kind::Dataplane, "default", "web")).cloned()
    };
    assert_eq!(insight.await.unwrap().subscriptions()[0].id, stream.id);
    assert!(stream.last_update_at.is_some());
    drop(web);
    let inspection = inspect(&world, "web");
    assert_eq!((inspection.streams.len(), states(&inspection)), (0, vec![ResourceState::NotSent]));
}

#[tokio::test]
async fn a_change_is_not_sent_before_its_turn_and_what_is_no_longer_wanted_is_removing() {
    let world = shop().await;
    let mut web = Proxy::connect(&world, "web");
    let listeners = web.start().await;
    web.take_all(vec![listeners]);
    let before = resource(&inspect(&world, "web"), "Listener", OUTBOUND).clone();
    assert_eq!(before.state, ResourceState::Synced);

    // Nobody has told the stream yet.
    world.put([dataplane("web", "web", 1, &[])]).await;
    let inspection = inspect(&world, "web");
    let leaving = resource(&inspection, "Listener", OUTBOUND);
    assert_eq!((leaving.state, &leaving.version), (ResourceState::Removing, &None));
    assert_eq!(leaving.acknowledged, before.acknowledged);

    // The inbound moves: the old listener is held, the new one has not been sent.
    world.put([dataplane("web", "web", 3, &[])]).await;
    let inspection = inspect(&world, "web");
    let listeners = inspection.resources.iter().filter(|it| it.type_url.ends_with("Listener"));
    let states: Vec<_> = listeners.map(|it| (&*it.name, it.state)).collect();
    let expected = [
        ("inbound:127.0.1.1:8080", ResourceState::Removing),
        ("inbound:127.0.3.1:8080", ResourceState::NotSent),
        (OUTBOUND, ResourceState::Removing),
    ];
    assert_eq!(states, expected);
}

#[tokio::test]
async fn what_changes_is_neither_sent_nor_synced_because_what_was_before_it_is() {
    let world = shop().await;
    let mut web = Proxy::connect(&world, "web");
    let listeners = web.start().await;
    web.take_all(vec![listeners]);
    let endpoints = |inspection: &Inspection| resource(inspection, "ClusterLoadAssignment", "api").clone();
    let before = endpoints(&inspect(&world, "web"));
    assert_eq!((before.state, before.sources.len()), (ResourceState::Synced, 1));

    world.put([dataplane("api-2", "api", 3, &[])]).await;
    let changed = endpoints(&inspect(&world, "web"));
    assert_eq!(
        (changed.state, changed.acknowledged.as_ref()),
        (ResourceState::NotSent, before.acknowledged.as_ref())
    );
    let revisions: Vec<_> = changed.sources.iter().map(|it| (&*it.key.name, it.revision.number)).collect();
    assert_eq!(revisions, [("api-1", 1), ("api-2", 2)]);

    let sent = web.hear().await;
    let pending = endpoints(&inspect(&world, "web"));
    assert_eq!(
        (pending.state, pending.acknowledged.as_ref()),
        (ResourceState::Pending, before.acknowledged.as_ref())
    );
    web.take_all(sent);
    let taken = endpoints(&inspect(&world, "web"));
    assert_eq!(
        (taken.state, taken.acknowledged.map(|it| it.version)),
        (ResourceState::Synced, taken.version)
    );
}

#[tokio::test]
async fn the_newest_of_two_streams_says_what_envoy_has() {
    let world = shop().await;
    let mut old = Proxy::connect(&world, "web");
    let listeners = old.start().await;
    old.take_all(vec![listeners]);
    let new = Proxy::connect(&world, "web");
    let inspection = inspect(&world, "web");
    assert_eq!((inspection.streams.len(), states(&inspection)), (2, vec![ResourceState::NotSent]));
    assert!(inspection.streams[0].last_update_at.is_some() && inspection.streams[1].last_update_at.is_none());
    drop(new);
    let inspection = inspect(&world, "web");
    assert!(inspection.streams.len() == 1 && states(&inspection).contains(&ResourceState::Synced));
}

#[tokio::test]
async fn who_writes_and_asks_sees_what_was_written_before_the_world_has_it() {
    let world = shop().await;
    // Nothing awaits between the commit and the question, so the follower cannot have run.
    let (key, json) = dataplane("web", "web", 1, &["api", "redis"]);
    let spec = key.kind.read_spec(&mut serde_json::Deserializer::from_str(&json)).unwrap();
    let writes = vec![store::Write::Put(key, Arc::new(spec))];
    let transaction = store::Transaction { writes, ..store::Transaction::default() };
    world.store.commit(transaction).await.unwrap();
    assert!(world.registry.revision() < world.store.present().revision().number);

    let inspection = inspect(&world, "web");
    assert_eq!(inspection.revision, world.store.present().revision());
    resource(&inspection, "Cluster", "redis");
    let warning = "cluster redis: no dataplane of the mesh carries service=redis, so connections to it fail; apply one, or \
                   change who sends to it";
    assert_eq!(inspection.warnings, [warning]);
}

#[tokio::test]
async fn contents_are_envoy_s_json() {
    let world = shop().await;
    let web = ProxyId::new("default", "web");
    let inspection = inspector(&world).inspect(&web, Detail::Full).unwrap();
    let endpoints = resource(&inspection, "ClusterLoadAssignment", "api").content.clone().unwrap();
    assert_eq!(endpoints["cluster_name"], "api");
    assert!(endpoints.to_string().contains("127.0.2.1"));
    assert!(inspect(&world, "web").resources.iter().all(|it| it.content.is_none()));
}
