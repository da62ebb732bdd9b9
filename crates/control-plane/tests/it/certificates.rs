//! What proxies with mTLS are given, and when it is another.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use api::{Detail, Inspect as _, ResourceState};
use control_plane::{feed::Feed, inspect::Inspector};
use futures_util::FutureExt as _;
use model::{Key, Kind, ProxyId};
use store::{MemoryStore, Write, mesh_secrets};
use xds::{ResourceType, Snapshot, Subscriber as _};

use crate::{
    proxy::Proxy,
    world::{VALIDITY, World, dataplane, mesh, next, written},
};

/// A clock that stands until it is set. Each test has its own.
macro_rules! clock {
    ($milliseconds:ident, $now:ident) => {
        static $milliseconds: AtomicU64 = AtomicU64::new(1_800_000_000_000);
        fn $now() -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_millis($milliseconds.load(Ordering::SeqCst))
        }
    };
}

fn set(milliseconds: &AtomicU64, time: SystemTime) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    milliseconds.store(u64::try_from(since).unwrap(), Ordering::SeqCst);
}

pub(crate) fn mesh_with_mtls() -> (Key, String) {
    (Key::mesh("default"), r#"{"mtls":{"enabled":true}}"#.to_owned())
}

/// The version of what the snapshot has.
pub(crate) fn version(snapshot: &Snapshot, secret: &str) -> Option<Arc<str>> {
    snapshot.get(ResourceType::Secret, secret).map(|it| it.version.clone())
}

/// The first snapshot with both secrets: the CA of a new mesh may come after the first plan.
async fn next_with_certificate(feed: &mut Feed) -> Arc<Snapshot> {
    loop {
        let snapshot = next(feed).await;
        if version(&snapshot, "identity_cert").is_some() {
            assert!(version(&snapshot, "mesh_ca").is_some());
            return snapshot;
        }
    }
}

pub(crate) fn has_news(feed: &mut Feed) -> bool {
    pin!(feed.next()).now_or_never().is_some()
}

/// The names of what differs.
fn differences(before: &Snapshot, after: &Snapshot) -> Vec<(ResourceType, String)> {
    let of_type = |it: ResourceType| {
        before.differences(after, it).into_iter().map(move |name| (it, name.to_string())).collect::<Vec<_>>()
    };
    ResourceType::ALL.into_iter().flat_map(of_type).collect()
}

fn secrets(names: &[&str]) -> Vec<(ResourceType, String)> {
    names.iter().map(|name| (ResourceType::Secret, (*name).to_owned())).collect()
}

fn signed(world: &World) -> u64 {
    world.planner.certificates.workloads.signed.get()
}

fn web() -> ProxyId {
    ProxyId::new("default", "web")
}

fn clocked(now: fn() -> SystemTime) -> World {
    World::with_clock(Arc::new(MemoryStore::new(1)), now, VALIDITY)
}

#[tokio::test]
async fn a_certificate_comes_with_mtls_and_goes_with_it() {
    let world = World::with_memory();
    world.put([mesh(), dataplane("web", "web", 1, &[])]).await;
    let mut feed = world.connect("web");
    let plain = next(&mut feed).await;
    assert!(plain.of_type(ResourceType::Secret).is_empty());

    world.put([mesh_with_mtls()]).await;
    let given = next_with_certificate(&mut feed).await;
    let workload = world.planner.certificates.workloads.of(&web()).unwrap();
    assert_eq!(version(&given, "identity_cert").as_deref(), Some(workload.fingerprint.as_str()));
    assert_eq!(workload.services, ["web".to_owned()].into());
    let authority = world.planner.certificates.mesh_cas.of("default").unwrap();
    assert_eq!(workload.ca, authority.cas.signing().id());

    world.put([mesh()]).await;
    assert!(next(&mut feed).await.of_type(ResourceType::Secret).is_empty());
    assert!(world.planner.certificates.workloads.of(&web()).is_none());
}

#[tokio::test]
async fn a_mesh_without_a_ca_gives_plans_without_secrets_until_it_has_one() {
    let world = World::with_memory();
    world.make_no_mesh_cas();
    world.put([mesh_with_mtls(), dataplane("web", "web", 1, &[])]).await;
    let mut feed = world.connect("web");
    let without = next(&mut feed).await;
    assert!(without.of_type(ResourceType::Secret).is_empty());
    assert!(!without.of_type(ResourceType::Listener).is_empty());
    assert!(!has_news(&mut feed));

    world.planner.certificates.mesh_cas.ensure("default").await.unwrap();
    let with = next(&mut feed).await;
    assert_eq!(differences(&without, &with), secrets(&["identity_cert", "mesh_ca"]));
    world.planner.certificates.mesh_cas.ensure("default").await.unwrap();
    assert!(!has_news(&mut feed), "it has one");
}

#[tokio::test]
async fn a_certificate_is_renewed_by_the_clock_and_nothing_else_changes() {
    clock!(NOW, now);
    let world = clocked(now);
    world.put([mesh_with_mtls(), dataplane("web", "web", 1, &["api"])]).await;
    let mut feed = world.connect("web");
    let first = next_with_certificate(&mut feed).await;
    let renew_at = now() + VALIDITY * 2 / 3;
    assert_eq!(world.planner.certificates.workloads.of(&web()).unwrap().renew_at, renew_at);

    // Short before it is due, so that no real hour has to pass until the clock is looked at again.
    set(&NOW, renew_at - Duration::from_millis(20));
    let plans = world.metrics.plans.get();
    assert!(!has_news(&mut feed));
    assert_eq!((signed(&world), world.metrics.plans.get()), (1, plans));

    set(&NOW, renew_at);
    let renewed = next(&mut feed).await;
    assert_eq!(differences(&first, &renewed), secrets(&["identity_cert"]));
    assert_eq!(signed(&world), 2);
    assert!(!has_news(&mut feed));
}

#[tokio::test]
async fn a_clock_that_is_set_back_while_the_proxy_sleeps_has_its_certificate_signed_anew() {
    clock!(NOW, now);
    // Short-lived, so that the clock is looked at again before long.
    let validity = Duration::from_secs(3);
    let world = World::with_clock(Arc::new(MemoryStore::new(1)), now, validity);
    world.put([mesh_with_mtls(), dataplane("web", "web", 1, &[])]).await;
    let mut feed = world.connect("web");
    let first = next_with_certificate(&mut feed).await;
    assert!(!has_news(&mut feed));

    let set_back = now() - Duration::from_hours(2);
    assert!(world.planner.certificates.workloads.of(&web()).unwrap().not_before > set_back);
    let mut sleeping = pin!(next(&mut feed));
    assert!(sleeping.as_mut().now_or_never().is_none());
    set(&NOW, set_back);
    let again = sleeping.await;
    assert_eq!(differences(&first, &again), secrets(&["identity_cert"]));
    assert!(world.planner.certificates.workloads.of(&web()).unwrap().not_before < set_back);
}

#[tokio::test]
async fn who_comes_back_has_the_same_certificate_and_two_streams_share_it() {
    let world = World::with_memory();
    world.put([mesh_with_mtls(), dataplane("web", "web", 1, &[])]).await;
    let mut feed = world.connect("web");
    let before = next_with_certificate(&mut feed).await;
    let mut second = world.connect("web");
    let shared = next(&mut second).await;
    drop((feed, second));
    let after = next(&mut world.connect("web")).await;
    for snapshot in [&shared, &after] {
        assert_eq!(differences(&before, snapshot), []);
        let resource = |it: &Snapshot| it.get(ResourceType::Secret, "identity_cert").cloned().unwrap();
        assert!(Arc::ptr_eq(&resource(&before), &resource(snapshot)));
    }
    assert_eq!(signed(&world), 1);
}

#[tokio::test]
async fn a_certificate_goes_with_its_dataplane_although_nobody_is_connected() {
    let world = World::with_memory();
    world.put([mesh_with_mtls(), dataplane("web", "web", 1, &[]), dataplane("api", "api", 2, &[])]).await;
    for name in ["web", "api"] {
        next_with_certificate(&mut world.connect(name)).await;
    }
    let workloads = &world.planner.certificates.workloads;
    world.delete(web().dataplane()).await;
    while workloads.of(&web()).is_some() {
        tokio::task::yield_now().await;
    }
    let api = ProxyId::new("default", "api");
    assert!(workloads.of(&api).is_some());
    world.delete(Key::mesh("default")).await;
    while workloads.of(&api).is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_dataplane_that_is_deleted_and_made_again_at_once_keeps_its_certificate() {
    let world = World::with_memory();
    let [web_again, api] = [dataplane("web", "web", 1, &["api"]), dataplane("api", "api", 2, &[])];
    world.put([mesh_with_mtls(), dataplane("web", "web", 1, &[]), api]).await;
    let (mut feed, mut other) = (world.connect("web"), world.connect("api"));
    let before = next_with_certificate(&mut feed).await;
    next_with_certificate(&mut other).await;

    world.commit_unheard(vec![Write::Delete(web().dataplane())]).await;
    world.commit(vec![written(web_again)]).await;
    let after = next(&mut feed).await;
    assert_eq!(version(&before, "identity_cert"), version(&after, "identity_cert"));
    // Who hears of this deletion has heard of the other one.
    let workloads = &world.planner.certificates.workloads;
    world.delete(Key::new(Kind::Dataplane, "default", "api")).await;
    while workloads.of(&ProxyId::new("default", "api")).is_some() {
        tokio::task::yield_now().await;
    }
    assert!(workloads.of(&web()).is_some());
    assert_eq!(signed(&world), 2, "web's and api's");
}

#[tokio::test]
async fn other_services_are_named_at_once() {
    let world = World::with_memory();
    world.put([mesh_with_mtls(), dataplane("web", "web", 1, &[])]).await;
    let mut feed = world.connect("web");
    let before = next_with_certificate(&mut feed).await;

    world.put([dataplane("web", "shop", 1, &[])]).await;
    let after = next(&mut feed).await;
    assert_ne!(version(&before, "identity_cert"), version(&after, "identity_cert"));
    assert_eq!(version(&before, "mesh_ca"), version(&after, "mesh_ca"));
    let workload = world.planner.certificates.workloads.of(&web()).unwrap();
    assert_eq!(workload.services, ["shop".to_owned()].into());
}

#[tokio::test]
async fn a_proxy_without_a_service_trusts_and_is_nobody() {
    let world = World::with_memory();
    let nobody = (Key::new(Kind::Dataplane, "default", "web"), r#"{"networking":{}}"#.to_owned());
    world.put([mesh_with_mtls(), nobody]).await;
    let mut feed = world.connect("web");
    let mut snapshot = next(&mut feed).await;
    while version(&snapshot, "mesh_ca").is_none() {
        snapshot = next(&mut feed).await;
    }
    assert_eq!((version(&snapshot, "identity_cert"), signed(&world)), (None, 0));
}

#[tokio::test]
async fn a_mesh_that_is_deleted_and_made_again_has_another_ca() {
    let all = || [mesh_with_mtls(), dataplane("web", "web", 1, &[])].map(written).to_vec();
    let delete = || vec![Write::Delete(Key::mesh("default"))];
    for commits in [vec![delete(), all()], vec![[delete(), all()].concat()]] {
        let world = World::with_memory();
        world.commit(all()).await;
        let mut feed = world.connect("web");
        let before = next_with_certificate(&mut feed).await;
        for writes in commits {
            world.commit(writes).await;
        }

        let mut after = next_with_certificate(&mut feed).await;
        // Before the new CA is there, the proxy keeps what it has.
        while version(&after, "mesh_ca") == version(&before, "mesh_ca") {
            after = next_with_certificate(&mut feed).await;
        }
        let workload = world.planner.certificates.workloads.of(&web()).unwrap();
        assert_eq!(version(&after, "identity_cert").as_deref(), Some(workload.fingerprint.as_str()));
        assert_ne!(version(&before, "identity_cert"), version(&after, "identity_cert"));
        let authority = world.planner.certificates.mesh_cas.of("default").unwrap();
        assert_eq!(workload.ca, authority.cas.signing().id());
    }
}

#[tokio::test]
async fn what_cannot_be_signed_or_opened_leaves_the_proxy_what_it_has() {
    clock!(NOW, now);
    let world = clocked(now);
    world.put([mesh_with_mtls(), dataplane("web", "web", 1, &[])]).await;
    let mut feed = world.connect("web");
    next_with_certificate(&mut feed).await;

    let ca_ends = world.planner.certificates.mesh_cas.of("default").unwrap().cas.signing().not_after();
    set(&NOW, ca_ends);
    assert!(!has_news(&mut feed));

    let scope = mesh_secrets("default");
    let before = world.store.secret(&scope, "ca").unwrap();
    world.store.replace_secret(&scope, "ca", before, b"sealed under another key".to_vec()).await.unwrap();
    assert!(world.planner.certificates.mesh_cas.of("default").is_none());
    world.put([dataplane("web", "web", 1, &["api"])]).await;
    let after = next(&mut feed).await;
    assert!(version(&after, "identity_cert").is_some() && version(&after, "mesh_ca").is_some());
}

#[tokio::test]
async fn metrics_say_what_ends_first() {
    clock!(NOW, now);
    let world = clocked(now);
    let other = (Key::mesh("other"), r#"{"mtls":{"enabled":true}}"#.to_owned());
    world
        .put([mesh_with_mtls(), other, dataplane("web", "web", 1, &[]), dataplane("api", "api", 2, &[])])
        .await;
    let mut web = Proxy::connect(&world, "web");
    next_with_certificate(&mut web.feed).await;
    world.planner.certificates.mesh_cas.ensure("other").await.unwrap();
    set(&NOW, now() + Duration::from_hours(24));
    let mut api = Proxy::connect(&world, "api");
    next_with_certificate(&mut api.feed).await;

    let line = |start: &str| {
        let text = world.metrics.print().unwrap();
        text.lines().find(|line| line.starts_with(start)).map(str::to_owned)
    };
    let expiry = "kuma_certificate_expiry_seconds{mesh=\"default\"}";
    let day = 24 * 3600;
    let in_days = |days: u64| Some(format!("{expiry} {}", days * day));
    assert_eq!(line("kuma_certificate_expiry"), in_days(13), "web's");
    drop(web);
    assert_eq!(line("kuma_certificate_expiry"), in_days(14), "api's");
    drop(api);
    assert_eq!(line("kuma_certificate_expiry"), None, "none is in use");
    for mesh in ["default", "other"] {
        let start = format!("kuma_mesh_ca_expiry_seconds{{mesh=\"{mesh}\"}}");
        assert_eq!(line(&start), Some(format!("{start} {}", 3649 * day)));
    }
    assert_eq!(line("kuma_certificates_signed_total").as_deref(), Some("kuma_certificates_signed_total 2"));
}

#[tokio::test]
async fn the_end_of_a_certificate_that_is_in_use_is_not_forgotten() {
    clock!(NOW, now);
    let world = clocked(now);
    world.put([mesh_with_mtls(), dataplane("web", "web", 1, &[])]).await;
    let mut proxy = Proxy::connect(&world, "web");
    next_with_certificate(&mut proxy.feed).await;
    let certificates = world.planner.certificates.clone();
    let sweep = || certificates.sweep(&world.store.present(), &world.planner.live_streams);
    let expiry =
        || world.metrics.print().unwrap().contains("kuma_certificate_expiry_seconds{mesh=\"default\"} -60\n");

    set(&NOW, certificates.workloads.of(&web()).unwrap().not_after + Duration::from_mins(1));
    sweep();
    assert!(expiry(), "{}", world.metrics.print().unwrap());
    drop(proxy);
    sweep();
    assert!(certificates.workloads.of(&web()).is_none());
}

#[tokio::test]
async fn an_inspection_warns_in_the_last_year_of_the_ca_that_signs() {
    clock!(NOW, now);
    let world = clocked(now);
    world.put([mesh_with_mtls(), dataplane("web", "web", 1, &[])]).await;
    world.planner.certificates.mesh_cas.ensure("default").await.unwrap();
    let inspector = Inspector { store: world.store.clone(), planner: world.planner.clone() };
    let warns = || {
        let warnings = inspector.inspect(&web(), Detail::Summary).unwrap().warnings;
        warnings.iter().any(|warning| warning.contains("`kumactl rotate mesh-ca --mesh default`"))
    };
    let end = world.planner.certificates.mesh_cas.of("default").unwrap().cas.signing().not_after();
    let year = Duration::from_hours(365 * 24);
    for (at, expected) in
        [(end - year, false), (end - year + Duration::from_secs(1), true), (end + year, true)]
    {
        set(&NOW, at);
        assert_eq!(warns(), expected);
    }
}

#[tokio::test]
async fn an_inspection_shows_the_certificate_and_signs_none() {
    let world = World::with_memory();
    world.put([mesh_with_mtls(), dataplane("web", "web", 1, &[])]).await;
    world.planner.certificates.mesh_cas.ensure("default").await.unwrap();
    let inspector = Inspector { store: world.store.clone(), planner: world.planner.clone() };
    let inspect = || inspector.inspect(&web(), Detail::Full).unwrap();
    let states = || {
        let resources = inspect().resources.into_iter();
        let secrets = resources.filter(|it| it.type_url.ends_with("Secret"));
        secrets.map(|it| (it.name.to_string(), it.state)).collect::<Vec<_>>()
    };
    assert_eq!(inspect().certificate, None);
    assert_eq!(states(), [("mesh_ca".to_owned(), ResourceState::NotSent)]);
    assert_eq!(signed(&world), 0);

    let mut proxy = Proxy::connect(&world, "web");
    proxy.hear().await;
    let sent = proxy.ask(ResourceType::Secret, &["identity_cert", "mesh_ca"]);
    proxy.take_all(sent);
    let both = |state| [("identity_cert".to_owned(), state), ("mesh_ca".to_owned(), state)];
    assert_eq!(states(), both(ResourceState::Synced));
    let inspection = inspect();
    let workload = world.planner.certificates.workloads.of(&web()).unwrap();
    let certificate = inspection.certificate.unwrap();
    assert_eq!(
        (certificate.services, certificate.fingerprint),
        (vec!["web".to_owned()], workload.fingerprint.clone())
    );
    let content = inspection.resources.iter().filter_map(|it| it.content.as_ref()).map(ToString::to_string);
    let content: String = content.collect();
    assert!(content.contains("BEGIN CERTIFICATE") && content.contains("<redacted>"), "{content}");
    assert!(!content.contains("PRIVATE KEY"));
    drop(proxy);
    assert_eq!(states(), both(ResourceState::NotSent));
}
