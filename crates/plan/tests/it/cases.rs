//! `cases/<rule>/`: what users wrote and one proxy (`in.yaml`), what that proxy should do (`plan.yaml`), what its Envoy is
//! told (`envoy.yaml`), and what whoever inspects it learns beside that (`inspection.yaml`).

use aws_lc_rs::digest::{SHA256, digest};
use model::{Key, Kind, ProxyId};
use plan::{Announced, Change, Outcome, Planned, World, envoy, plan};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    fixture,
    golden::{Golden, yaml},
};

const CASES: Golden = Golden { folder: "cases", expected: &["plan.yaml", "envoy.yaml", "inspection.yaml"] };

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    /// `<mesh>.<name>`.
    proxy: String,
    /// What kuma-dp has announced.
    #[serde(default)]
    access_log_pipe: Option<String>,
    /// What Envoy has.
    #[serde(default)]
    envoy_version: String,
    resources: Vec<Value>,
    /// After they were written.
    #[serde(default)]
    deleted: Vec<Deleted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deleted {
    r#type: String,
    #[serde(default)]
    mesh: String,
    name: String,
}

#[test]
fn every_case_is_planned_and_translated_as_expected() {
    CASES.check(|case: Case| {
        let proxy = case.proxy();
        let world = case.world();
        let planned = plan(&world, &proxy, &case.announced());
        vec![decision(&planned), told(&planned), inspection(&world, &proxy, &planned)]
    });
}

#[test]
fn every_resource_comes_from_some_that_users_have_written() {
    for case in CASES.inputs::<Case>() {
        let (world, proxy) = (case.world(), case.proxy());
        let Outcome::Plan(plan) = plan(&world, &proxy, &case.announced()).outcome else { continue };
        let sources = envoy::Sources::new(&world, &proxy, &plan);
        for resource in envoy::resources(&plan) {
            let keys = sources.of(&resource);
            assert!(!keys.is_empty(), "{proxy}: {} {}", resource.type_url, resource.name);
            assert!(keys.is_sorted() && keys.iter().all(|key| case.is_there(key)), "{proxy}: {keys:?}");
        }
    }
}

/// The translation that [`envoy::FORMAT`] stands for: SHA-256 (its first 16 hex digits) of what Envoy is told in all
/// cases.
const TRANSLATION: (u32, &str) = (3, "e59e3cc42beaef6d");

#[test]
fn a_translation_that_changes_has_another_format() {
    let planned = |case: Case| plan(&case.world(), &case.proxy(), &case.announced());
    let told: String = CASES.inputs().into_iter().map(|case| yaml(&told(&planned(case)))).collect();
    let digest = digest(&SHA256, told.as_bytes());
    let (first, _) = digest.as_ref().split_first_chunk().expect("32 bytes are more than 8");
    let digest = format!("{:016x}", u64::from_be_bytes(*first));
    assert_eq!(
        (envoy::FORMAT, digest.as_str()),
        TRANSLATION,
        "If Envoy is told something else in a case whose plan.yaml is what it was, raise envoy::FORMAT. Then, or if \
         cases only came, went or were planned anew, write what is on the left into TRANSLATION."
    );
}

impl Case {
    fn announced(&self) -> Announced {
        Announced { access_log_pipe: self.access_log_pipe.clone(), envoy_version: self.envoy_version.clone() }
    }

    fn proxy(&self) -> ProxyId {
        self.proxy.parse().expect("a proxy is named <mesh>.<name>")
    }

    fn world(&self) -> World {
        let (mut world, _) = World::default().apply(self.resources.iter().cloned().map(fixture::change));
        for Deleted { r#type, mesh, name } in &self.deleted {
            let kind = Kind::from_name(r#type).expect("a kind");
            world = world.apply([Change { key: Key::new(kind, mesh.as_str(), name.as_str()), spec: None }]).0;
        }
        world
    }

    fn is_there(&self, key: &Key) -> bool {
        let is_it = |resource: &Value| fixture::change(resource.clone()).key == *key;
        self.resources.iter().any(is_it)
    }
}

fn decision(planned: &Planned) -> Value {
    let outcome = match &planned.outcome {
        Outcome::Plan(plan) => json!({ "plan": plan }),
        Outcome::Deleted => json!("deleted"),
        Outcome::Unknown => json!("unknown"),
        Outcome::NoMesh => json!("no mesh"),
    };
    let reads: Vec<_> = planned.reads.iter().map(ToString::to_string).collect();
    json!({ "outcome": outcome, "reads": reads })
}

fn told(planned: &Planned) -> Value {
    let Outcome::Plan(plan) = &planned.outcome else { return json!([]) };
    let json = |resource: &envoy::Resource| resource.to_json().expect("what was encoded is of its type");
    envoy::resources(plan).iter().map(json).collect()
}

/// By type and name of each resource the keys that it comes from, and the warnings.
fn inspection(world: &World, proxy: &ProxyId, planned: &Planned) -> Value {
    let Outcome::Plan(plan) = &planned.outcome else { return json!({}) };
    let sources = envoy::Sources::new(world, proxy, plan);
    let resources = envoy::resources(plan);
    let of = |resource: &envoy::Resource| {
        let keys: Vec<String> = sources.of(resource).iter().map(ToString::to_string).collect();
        let (_, message) = resource.type_url.rsplit_once('.').expect("a type has a package");
        json!({"type": message, "name": resource.name.as_ref(), "sources": keys})
    };
    json!({"resources": resources.iter().map(of).collect::<Vec<_>>(), "warnings": plan.warnings()})
}
