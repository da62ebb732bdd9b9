//! However the world came to be, it is the same world: change by change, in batches or all at once, in any order.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use model::{Key, Kind, ProxyId};
use plan::{Announced, Change, Outcome, Part, Planned, World, envoy, plan};
use serde_json::{Value, json};

use crate::fixture;

const SEEDS: u64 = 60;
const STEPS: usize = 60;
const PROXIES: [&str; 4] = ["a", "b", "c", "d"];
const SERVICES: [&str; 3] = ["web", "api", "db"];
const MESHES: [&str; 2] = ["default", "other"];

/// A world that came to be step by step, and the last change of each entity.
fn random_world(seed: u64) -> (World, BTreeMap<Key, Change>, Rng) {
    let mut rng = Rng::with_seed(seed);
    let mut world = World::default();
    let mut last = BTreeMap::new();
    for _ in 0..STEPS {
        let batch = random_batch(&mut rng);
        last.extend(batch.iter().map(|change| (change.key.clone(), change.clone())));
        world = world.apply(batch).0;
    }
    (world, last, rng)
}

#[test]
fn step_by_step_is_the_same_as_all_at_once() {
    for seed in 0..SEEDS {
        let (world, last, mut rng) = random_world(seed);
        let mut all: Vec<_> = last.into_values().collect();
        rng.shuffle(&mut all);
        assert_eq!(everything(&world), everything(&World::default().apply(all).0), "seed {seed}");
    }
}

/// So that nobody sleeps who should have been woken.
#[test]
fn a_plan_changes_only_if_a_part_that_it_read_changed() {
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let mut world = World::default();
        for step in 0..STEPS {
            let (next, touched) = world.apply(random_batch(&mut rng));
            for proxy in proxies() {
                let (before, after) = (planned(&world, &proxy), planned(&next, &proxy));
                let woken = before.reads.iter().any(|part| touched.contains(part));
                assert!(
                    woken || before == after,
                    "seed {seed}, step {step}: {proxy} sleeps over {touched:?}"
                );
            }
            world = next;
        }
    }
}

/// A world that has forgotten what was deleted is the one of a store that never knew it.
#[test]
fn what_was_deleted_is_forgotten_unless_it_is_remembered() {
    for seed in 0..SEEDS {
        let (world, mut last, _) = random_world(seed);
        assert_eq!(everything(&world.forget_deleted(|_| true)), everything(&world), "seed {seed}");
        let is_remembered = |key: &Key| key.name.as_ref() < "c";
        last.retain(|key, change| change.spec.is_some() || is_remembered(key));
        let expected = World::default().apply(last.into_values()).0;
        assert_eq!(everything(&world.forget_deleted(is_remembered)), everything(&expected), "seed {seed}");
    }
}

#[test]
fn an_old_world_stays_as_it_was() {
    let mut rng = Rng::with_seed(1);
    let mut world = World::default();
    for _ in 0..STEPS {
        let before = everything(&world);
        let (next, _) = world.apply(random_batch(&mut rng));
        assert_eq!(everything(&world), before);
        world = next;
    }
}

#[test]
fn parts_that_are_put_back_in_one_batch_are_not_touched() {
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let (world, _) = World::default().apply((0..STEPS).map(|_| random_change(&mut rng)));
        let batch = random_batch(&mut rng);
        let (next, _) = world.apply(batch.clone());
        let (same, touched) = next.apply(batch);
        assert_eq!((touched, everything(&same)), (BTreeSet::<Part>::new(), everything(&next)), "seed {seed}");
    }
}

fn planned(world: &World, proxy: &ProxyId) -> Planned {
    plan(world, proxy, &Announced::default())
}

fn proxies() -> impl Iterator<Item = ProxyId> {
    MESHES.into_iter().flat_map(|mesh| PROXIES.map(|name| ProxyId::new(mesh, name)))
}

/// Every proxy's plan, reads and versions, as text.
fn everything(world: &World) -> String {
    let of_proxy = |proxy: ProxyId| {
        let planned = planned(world, &proxy);
        let versions: Vec<_> = match &planned.outcome {
            Outcome::Plan(plan) => {
                envoy::resources(plan).into_iter().map(|it| (it.name, it.version)).collect()
            }
            _ => Vec::new(),
        };
        format!("{proxy}: {planned:?} {versions:?}\n")
    };
    proxies().map(of_proxy).collect()
}

fn random_batch(rng: &mut Rng) -> Vec<Change> {
    (0..rng.usize(1..5)).map(|_| random_change(rng)).collect()
}

fn random_change(rng: &mut Rng) -> Change {
    let mesh = pick(rng, &MESHES);
    match (rng.u8(0..10), rng.bool()) {
        (0, true) => deleted(Kind::Mesh, mesh, mesh),
        (0, false) => {
            let mtls = json!({ "enabled": rng.u8(0..3) > 0, "permissive": rng.bool() });
            let backend = json!({ "name": pick(rng, &["a", "b"]), "file": { "path": "/a" } });
            let logging = json!({ "defaultBackend": pick(rng, &["", "a"]), "backends": [backend] });
            fixture::change(json!({ "type": "Mesh", "name": mesh, "mtls": mtls, "logging": logging }))
        }
        (1..=6, true) | (1, false) => fixture::change(random_dataplane(rng, mesh)),
        (2, false) => deleted(Kind::Dataplane, mesh, pick(rng, &PROXIES)),
        (3, false) => {
            let kind = [Kind::TrafficRoute, Kind::TrafficPermission, Kind::TrafficLog, Kind::ProxyTemplate]
                [rng.usize(0..4)];
            deleted(kind, mesh, pick(rng, &PROXIES))
        }
        (4, false) if rng.bool() => fixture::change(random_log(rng, mesh)),
        (4, false) => fixture::change(random_template(rng, mesh)),
        (5 | 6, false) => fixture::change(random_permission(rng, mesh)),
        _ => fixture::change(random_route(rng, mesh)),
    }
}

fn deleted(kind: Kind, mesh: &'static str, name: &'static str) -> Change {
    Change { key: Key::new(kind, mesh, name), spec: None }
}

/// Of few addresses, so that some are claimed twice.
fn random_dataplane(rng: &mut Rng, mesh: &str) -> Value {
    let inbound = |rng: &mut Rng| {
        let mut tags = json!({ "service": pick(rng, &SERVICES) });
        if rng.bool() {
            tags["version"] = pick(rng, &["v1", "v2"]).into();
        }
        let port = 80 + rng.u16(0..3);
        json!({ "interface": format!("10.0.0.{}:{port}:8080", rng.u8(1..3)), "tags": tags })
    };
    let outbound = |rng: &mut Rng| json!({ "interface": format!(":{}", 9000 + rng.u16(0..3)), "service": pick(rng, &SERVICES) });
    json!({
        "type": "Dataplane",
        "mesh": mesh,
        "name": pick(rng, &PROXIES),
        "networking": { "inbound": some(rng, inbound), "outbound": some(rng, outbound) },
    })
}

fn random_route(rng: &mut Rng, mesh: &str) -> Value {
    let share = |rng: &mut Rng| {
        let mut destination = json!({ "service": pick(rng, &SERVICES) });
        if rng.bool() {
            destination["version"] = pick(rng, &["v1", "v2", "*"]).into();
        }
        json!({ "weight": rng.u8(0..3), "destination": destination })
    };
    json!({
        "type": "TrafficRoute",
        "mesh": mesh,
        "name": pick(rng, &PROXIES),
        "sources": some(rng, random_selector),
        "destinations": some(rng, random_selector),
        "conf": some(rng, share),
    })
}

fn random_permission(rng: &mut Rng, mesh: &str) -> Value {
    json!({
        "type": "TrafficPermission",
        "mesh": mesh,
        "name": pick(rng, &PROXIES),
        "sources": some(rng, random_selector),
        "destinations": some(rng, random_selector),
    })
}

fn random_log(rng: &mut Rng, mesh: &str) -> Value {
    json!({
        "type": "TrafficLog",
        "mesh": mesh,
        "name": pick(rng, &PROXIES),
        "sources": some(rng, random_selector),
        "destinations": some(rng, random_selector),
        "conf": { "backend": pick(rng, &["", "a", "b"]) },
    })
}

/// Also one without selectors, one with an empty selector and one that imports nothing.
fn random_template(rng: &mut Rng, mesh: &str) -> Value {
    let selector = |rng: &mut Rng| match rng.u8(0..4) {
        0 => json!({}),
        1 => json!({ "match": { "service": pick(rng, &SERVICES), "version": pick(rng, &["v1", "v2"]) } }),
        _ => random_selector(rng),
    };
    let cluster = |rng: &mut Rng| {
        let text = format!(
            "'@type': type.googleapis.com/envoy.api.v2.Cluster\nname: {}\ntype: STATIC\nconnectTimeout: {}s\n",
            pick(rng, &SERVICES),
            rng.u8(1..3)
        );
        json!({ "name": "raw", "version": "1", "resource": text })
    };
    let imports: &[&str] = if rng.u8(0..3) == 0 { &[] } else { &["default-proxy"] };
    json!({
        "type": "ProxyTemplate",
        "mesh": mesh,
        "name": pick(rng, &PROXIES),
        "selectors": some(rng, selector),
        "conf": { "imports": imports, "resources": some(rng, cluster) },
    })
}

fn random_selector(rng: &mut Rng) -> Value {
    let service = if rng.u8(0..3) == 0 { "*" } else { pick(rng, &SERVICES) };
    json!({ "match": { "service": service } })
}

fn some(rng: &mut Rng, item: impl Fn(&mut Rng) -> Value) -> Vec<Value> {
    (0..rng.usize(0..4)).map(|_| item(rng)).collect()
}

fn pick(rng: &mut Rng, from: &[&'static str]) -> &'static str {
    from[rng.usize(0..from.len())]
}
