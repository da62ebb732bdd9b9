//! The rotation of a mesh's CA, with what each proxy is given and what is refused meanwhile.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use api::{Guard, MeshCaError, MeshCaInfo, MeshCaProxies, MeshCas as _};
use control_plane::rotation::Rotation;
use identity::MESH_CAS_MAX;
use model::{DataplaneInsight, DiscoverySubscription, Key, Kind, Timestamp};
use store::mesh_secrets;
use tokio::task::JoinSet;
use xds::{ResourceType, Response};

use crate::{
    certificates::{has_news, mesh_with_mtls},
    proxy::Proxy,
    world::{World, dataplane, mesh},
};

const LONG_AGO: SystemTime = SystemTime::UNIX_EPOCH;

const BOTH: [&str; 2] = ["identity_cert", "mesh_ca"];

async fn shop() -> (World, Rotation) {
    let world = World::with_memory();
    world.put([mesh_with_mtls(), dataplane("web", "web", 1, &[]), dataplane("api", "api", 2, &[])]).await;
    let certificates = world.planner.certificates.clone();
    certificates.mesh_cas.ensure("default").await.unwrap();
    let live_streams = world.planner.live_streams.clone();
    let rotation = Rotation { store: world.store.clone(), certificates, live_streams, started: LONG_AGO };
    (world, rotation)
}

/// A proxy that has its certificates.
async fn connected(world: &World, name: &str) -> Proxy {
    let mut proxy = Proxy::connect(world, name);
    proxy.hear().await;
    let sent = proxy.ask(ResourceType::Secret, &BOTH);
    proxy.take_all(sent);
    proxy
}

/// The names of the secrets that are sent.
fn secrets(responses: &[Response]) -> Vec<&str> {
    assert!(responses.iter().all(|it| it.resource_type == ResourceType::Secret), "{responses:?}");
    let mut names: Vec<_> =
        responses.iter().flat_map(|it| &it.resources).map(|resource| &*resource.name).collect();
    names.sort_unstable();
    names
}

/// Of each CA: whether it signs, and of how many proxies it is trusted and used.
fn counts(cas: &[MeshCaInfo]) -> Vec<(bool, [usize; 3])> {
    let of = |ca: &MeshCaInfo| (ca.signs, [ca.proxies.connected, ca.proxies.trusting, ca.proxies.using]);
    cas.iter().map(of).collect()
}

#[tokio::test]
async fn a_rotation_waits_at_each_step_for_those_who_would_be_cut() {
    let (world, rotation) = shop().await;
    let (mut web, mut api) = (connected(&world, "web").await, connected(&world, "api").await);
    let list = async || rotation.list("default").await.unwrap();
    assert_eq!(counts(&list().await), [(true, [2, 2, 2])]);
    let old = list().await[0].id.clone();

    // Trusted, and not signing.
    let before = world.store.present().revision().number;
    let (added, revision) = rotation.add("default").await.unwrap();
    assert_eq!(revision.number, before + 1);
    assert_eq!(counts(std::slice::from_ref(&added)), [(false, [2, 0, 0])]);
    let new = added.id;
    let to_web = web.hear().await;
    assert_eq!(secrets(&to_web), ["mesh_ca"]);
    web.take_all(to_web);
    let to_api = api.hear().await;
    assert_eq!(counts(&list().await), [(true, [2, 1, 2]), (false, [2, 1, 0])]);
    let refused = rotation.sign_with("default", &new, Guard::On).await;
    assert_eq!(refused, Err(MeshCaError::NotTrustedYet { trusting: 1, connected: 2 }));
    api.take_all(to_api);

    // Signing.
    rotation.sign_with("default", &new, Guard::On).await.unwrap();
    let to_web = web.hear().await;
    assert_eq!(secrets(&to_web), ["identity_cert"]);
    assert_eq!(counts(&list().await), [(false, [2, 2, 2]), (true, [2, 2, 0])]);
    web.take_all(to_web);
    assert_eq!(counts(&list().await), [(false, [2, 2, 1]), (true, [2, 2, 1])]);
    let to_api = api.hear().await;
    let retired = rotation.retire("default", &old, Guard::On).await;
    assert_eq!(retired, Err(MeshCaError::StillUsed { using: 1, connected: 2 }));
    api.take_all(to_api);
    assert_eq!(rotation.retire("default", &new, Guard::Off).await, Err(MeshCaError::Signs));

    // The only one.
    rotation.retire("default", &old, Guard::On).await.unwrap();
    for proxy in [&mut web, &mut api] {
        let sent = proxy.hear().await;
        assert_eq!(secrets(&sent), ["mesh_ca"]);
        proxy.take_all(sent);
    }
    let cas = list().await;
    assert_eq!((cas[0].id.as_str(), counts(&cas)), (new.as_str(), vec![(true, [2, 2, 2])]));
    assert_eq!(world.planner.certificates.workloads.signed.get(), 4, "each proxy's, twice");
}

#[tokio::test]
async fn who_wants_it_all_the_same_gets_it() {
    let (world, rotation) = shop().await;
    let _web = connected(&world, "web").await;
    let old = rotation.list("default").await.unwrap()[0].id.clone();
    let (added, _) = rotation.add("default").await.unwrap();
    rotation.sign_with("default", &added.id, Guard::Off).await.unwrap();
    let revision = world.store.present().revision();
    assert_eq!(rotation.sign_with("default", &added.id, Guard::On).await, Ok(revision), "it does already");
    rotation.retire("default", &old, Guard::Off).await.unwrap();
    let left = rotation.list("default").await.unwrap();
    assert_eq!(left.iter().map(|ca| &ca.id).collect::<Vec<_>>(), [&added.id]);
}

#[tokio::test]
async fn who_has_not_said_what_he_has_is_waited_for() {
    let (world, rotation) = shop().await;
    let mut web = Proxy::connect(&world, "web");
    let list = async || rotation.list("default").await.unwrap();
    let old = list().await[0].id.clone();
    assert_eq!(counts(&list().await), [(true, [1, 0, 0])], "before he was told anything");
    let (added, _) = rotation.add("default").await.unwrap();
    web.hear().await;
    let refused = rotation.sign_with("default", &added.id, Guard::On).await;
    assert_eq!(refused, Err(MeshCaError::NotTrustedYet { trusting: 0, connected: 1 }));
    let roots = web.ask(ResourceType::Secret, &["mesh_ca"]);
    web.take_all(roots);
    rotation.sign_with("default", &added.id, Guard::On).await.unwrap();

    assert_eq!(counts(&list().await), [(false, [1, 1, 1]), (true, [1, 1, 0])]);
    let refused = rotation.retire("default", &old, Guard::On).await;
    assert_eq!(refused, Err(MeshCaError::StillUsed { using: 1, connected: 1 }));
    web.hear().await;
    let certificate = web.ask(ResourceType::Secret, &["identity_cert"]);
    web.take_all(certificate);
    rotation.retire("default", &old, Guard::On).await.unwrap();
}

#[tokio::test]
async fn a_proxy_is_as_far_as_that_of_its_streams_which_is_behind() {
    let (world, rotation) = shop().await;
    let (_ahead, mut behind) = (connected(&world, "web").await, Proxy::connect(&world, "web"));
    let list = async || rotation.list("default").await.unwrap();
    assert_eq!(counts(&list().await), [(true, [1, 0, 0])]);
    behind.hear().await;
    let sent = behind.ask(ResourceType::Secret, &BOTH);
    behind.take_all(sent);
    assert_eq!(counts(&list().await), [(true, [1, 1, 1])]);
}

#[tokio::test]
async fn who_needs_no_certificates_counts_for_nothing() {
    let (world, rotation) = shop().await;
    let (mut web, _nobody) = (Proxy::connect(&world, "web"), Proxy::connect(&world, "nobody"));
    web.hear().await;
    let proxies = async || rotation.list("default").await.unwrap()[0].proxies;
    let counted = MeshCaProxies { dataplanes: 2, connected: 1, trusting: 0, using: 0 };
    assert_eq!(proxies().await, counted, "who has no Dataplane is not told anything");
    world.put([(Key::mesh("default"), r#"{"mtls":{"permissive":true}}"#.to_owned())]).await;
    assert_eq!(proxies().await, counted);

    world.put([mesh()]).await;
    assert_eq!(proxies().await, MeshCaProxies::default());
    let (added, _) = rotation.add("default").await.unwrap();
    rotation.sign_with("default", &added.id, Guard::On).await.unwrap();
}

#[tokio::test]
async fn without_mtls_a_rotation_wakes_nobody() {
    let (world, rotation) = shop().await;
    world.put([mesh()]).await;
    let mut web = Proxy::connect(&world, "web");
    web.hear().await;
    assert!(!has_news(&mut web.feed));
    let plans = world.metrics.plans.get();
    let (added, _) = rotation.add("default").await.unwrap();
    rotation.sign_with("default", &added.id, Guard::On).await.unwrap();
    world.settle().await;
    assert!(!has_news(&mut web.feed));
    assert_eq!(world.metrics.plans.get(), plans);
    world.put([mesh_with_mtls()]).await;
    web.hear().await;
    let roots = web.ask(ResourceType::Secret, &["mesh_ca"]);
    web.take_all(roots);
    assert_eq!(rotation.list("default").await.unwrap()[1].proxies.trusting, 1, "it has both");
}

#[tokio::test]
async fn who_only_looks_makes_no_ca() {
    let world = World::with_memory();
    world.make_no_mesh_cas();
    world.put([mesh_with_mtls()]).await;
    let certificates = world.planner.certificates.clone();
    let live_streams = world.planner.live_streams.clone();
    let rotation = Rotation { store: world.store.clone(), certificates, live_streams, started: LONG_AGO };
    assert_eq!(rotation.list("default").await, Ok(Vec::new()));
    assert!(world.store.secret(&mesh_secrets("default"), "ca").is_none());
}

#[tokio::test]
async fn a_rotation_outlives_its_process() {
    let store: Arc<dyn store::Store> = Arc::new(store::MemoryStore::new(1));
    let ids = async |change: bool| {
        let world = World::new(store.clone());
        if change {
            world.put([mesh_with_mtls()]).await;
        }
        let certificates = world.planner.certificates.clone();
        let live_streams = world.planner.live_streams.clone();
        let rotation = Rotation { store: store.clone(), certificates, live_streams, started: LONG_AGO };
        if change {
            let (added, _) = rotation.add("default").await.unwrap();
            rotation.sign_with("default", &added.id, Guard::On).await.unwrap();
        }
        let cas = rotation.list("default").await.unwrap();
        cas.into_iter().map(|ca| (ca.id, ca.signs)).collect::<Vec<_>>()
    };
    let before = ids(true).await;
    assert_eq!(before.iter().map(|(_, signs)| *signs).collect::<Vec<_>>(), [false, true]);
    assert_eq!(ids(false).await, before);
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let (_world, rotation) = shop().await;
    assert_eq!(rotation.list("nowhere").await, Err(MeshCaError::NoSuchMesh));
    assert_eq!(rotation.add("nowhere").await, Err(MeshCaError::NoSuchMesh));
    for guard in [Guard::On, Guard::Off] {
        assert_eq!(rotation.sign_with("nowhere", "x", guard).await, Err(MeshCaError::NoSuchMesh));
        assert_eq!(rotation.retire("nowhere", "x", guard).await, Err(MeshCaError::NoSuchMesh));
        assert_eq!(rotation.sign_with("default", "x", guard).await, Err(MeshCaError::NoSuchCa));
        assert_eq!(rotation.retire("default", "x", guard).await, Err(MeshCaError::NoSuchCa));
    }
    for _ in 1..MESH_CAS_MAX {
        rotation.add("default").await.unwrap();
    }
    assert_eq!(rotation.add("default").await, Err(MeshCaError::TooMany { most: MESH_CAS_MAX }));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_add_at_once_each_adds_one() {
    let (_world, rotation) = shop().await;
    let rotation = Arc::new(rotation);
    let mut adding = JoinSet::new();
    for _ in 1..MESH_CAS_MAX {
        let rotation = rotation.clone();
        adding.spawn(async move { rotation.add("default").await.unwrap().0.id });
    }
    let added: BTreeSet<String> = adding.join_all().await.into_iter().collect();
    assert_eq!(added.len(), MESH_CAS_MAX - 1);
    let cas = rotation.list("default").await.unwrap();
    assert_eq!(cas.iter().filter(|ca| added.contains(&ca.id)).count(), MESH_CAS_MAX - 1);
}

/// A fleet that the control plane's restart has disconnected must not be rotated away from under.
#[tokio::test]
async fn who_is_on_its_way_back_is_waited_for() {
    let (world, mut rotation) = shop().await;
    let now = SystemTime::now();
    let ended = async |name: &str, at: SystemTime| {
        let subscription = DiscoverySubscription {
            id: name.to_owned(),
            connect_time: Some(Timestamp::from(LONG_AGO)),
            disconnect_time: Some(Timestamp::from(at)),
            ..DiscoverySubscription::default()
        };
        let insight = DataplaneInsight { subscriptions: Some(vec![subscription]) };
        let key = Key::new(Kind::Dataplane, "default", name);
        world.store.put_insights(vec![(key, insight)]).await.unwrap();
    };
    ended("web", now).await;
    ended("api", now - Duration::from_hours(1)).await;
    let (added, _) = rotation.add("default").await.unwrap();
    let sign = async |rotation: &Rotation| rotation.sign_with("default", &added.id, Guard::On).await;
    let not_yet = |connected| Err(MeshCaError::NotTrustedYet { trusting: 0, connected });
    assert_eq!(sign(&rotation).await, not_yet(1));
    rotation.started = now;
    assert_eq!(sign(&rotation).await, not_yet(2), "those who were there before the start as well");

    let (mut web, mut api) = (connected(&world, "web").await, connected(&world, "api").await);
    assert_eq!(counts(&rotation.list("default").await.unwrap()), [(true, [2, 2, 2]), (false, [2, 2, 0])]);
    sign(&rotation).await.unwrap();
    drop((web.hear().await, api.hear().await));
}
