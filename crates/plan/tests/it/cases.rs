//! Case folders, `cases/<rule>/`: what users wrote and one proxy (`in.yaml`), what that proxy should do (`plan.yaml`), and
//! what its Envoy is told (`envoy.yaml`).

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{SHA256, digest};
use model::ProxyId;
use plan::{Outcome, Planned, World, envoy, plan};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{diff::diff, fixture};

/// Set, it makes what comes out what is expected.
const UPDATE: &str = "UPDATE_CASES";

const ACCEPT: &str = "UPDATE_CASES=1 cargo test -p plan";

const INPUT: &str = "in.yaml";
const EXPECTED: [&str; 2] = ["plan.yaml", "envoy.yaml"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// `<mesh>.<name>`.
    proxy: String,
    resources: Vec<Value>,
    /// Deleted after they were written: `{type, mesh, name}`.
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
    let mut failures = Vec::new();
    for folder in folders() {
        let planned = plan_case(&folder);
        let actual = [plan_yaml(&planned), envoy_yaml(&planned)];
        for (name, actual) in EXPECTED.into_iter().zip(actual) {
            failures.extend(compare(&folder.join(name), &actual));
        }
    }
    assert!(failures.is_empty(), "{}\nTo accept what is above: {ACCEPT}", failures.join("\n"));
}

/// The translation that [`envoy::FORMAT`] stands for: the SHA-256 of what Envoy is told in all cases.
const TRANSLATION: (u32, &str) = (1, "69d0759f8b30e95236a56add2168ef06acae1636ff2a1d94560e44d64daf62e6");

#[test]
fn a_translation_that_changes_has_another_format() {
    let told: String = folders().iter().map(|folder| envoy_yaml(&plan_case(folder))).collect();
    let digest = digest(&SHA256, told.as_bytes());
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        (envoy::FORMAT, digest.as_str()),
        TRANSLATION,
        "If Envoy is told something else in a case whose plan.yaml is what it was, raise envoy::FORMAT. Then, or if \
         cases only came, went or were planned anew, write what is on the left into TRANSLATION."
    );
}

#[test]
fn a_case_folder_holds_nothing_but_a_case() {
    let known: BTreeSet<_> = EXPECTED.into_iter().chain([INPUT]).map(str::to_owned).collect();
    for folder in folders() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let names: BTreeSet<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let unknown: Vec<_> = names.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?} in {}: no part of a case", folder.display());
    }
}

fn folders() -> Vec<PathBuf> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders: Vec<_> = fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn plan_case(folder: &Path) -> Planned {
    let path = folder.join(INPUT);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let case: Case =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut world, _) = World::default().apply(case.resources.into_iter().map(fixture::change));
    for Deleted { r#type, mesh, name } in case.deleted {
        let kind = model::Kind::from_name(&r#type).expect("a kind");
        world = world.apply([plan::Change { key: model::Key::new(kind, mesh, name), spec: None }]).0;
    }
    plan(&world, &case.proxy.parse::<ProxyId>().expect("a proxy is named <mesh>.<name>"))
}

fn plan_yaml(planned: &Planned) -> String {
    let outcome = match &planned.outcome {
        Outcome::Plan(plan) => json!({ "plan": plan }),
        Outcome::Deleted => json!("deleted"),
        Outcome::Unknown => json!("unknown"),
        Outcome::NoMesh => json!("no mesh"),
    };
    let reads: Vec<_> = planned.reads.iter().map(ToString::to_string).collect();
    yaml(&json!({ "outcome": outcome, "reads": reads }))
}

fn envoy_yaml(planned: &Planned) -> String {
    let Outcome::Plan(plan) = &planned.outcome else { return yaml(&json!([])) };
    let resources = envoy::resources(plan);
    let json = |resource: &envoy::Resource| resource.to_json().expect("what was encoded is of its type");
    yaml(&resources.iter().map(json).collect())
}

fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).expect("JSON has a YAML form")
}

fn compare(path: &Path, actual: &str) -> Option<String> {
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return None;
    }
    if env::var_os(UPDATE).is_some() {
        fs::write(path, actual).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return None;
    }
    Some(format!("{}\n{}", path.display(), diff(&expected, actual)))
}
