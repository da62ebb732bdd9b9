//! What mTLS may change in what Envoy is told, and what it must not: whatever Envoy finds changed in a listener costs
//! connections.

use std::collections::{BTreeMap, BTreeSet};

use model::Kind;
use plan::{World, envoy};
use serde_json::Value;

use crate::fixture::{changes, deleted, proxy_plan, world};

const BACKEND: &str = "
- type: Dataplane
  mesh: default
  name: backend-1
  networking:
    inbound: [{ interface: '10.0.0.1:80:8080', tags: { service: backend } }]
";

fn with_mesh(mtls: &str) -> World {
    world(&format!("[{{ type: Mesh, name: default, mtls: {mtls} }}]")).apply(changes(BACKEND)).0
}

fn permit(world: &World, name: &str, sources: &[&str]) -> World {
    let sources: Vec<_> =
        sources.iter().map(|service| format!("{{ match: {{ service: '{service}' }} }}")).collect();
    let permission = format!(
        "[{{ type: TrafficPermission, mesh: default, name: {name}, sources: [{}], \
         destinations: [{{ match: {{ service: backend }} }}] }}]",
        sources.join(", ")
    );
    world.apply(changes(&permission)).0
}

/// The inbound's listener, as its Envoy is told.
fn listener(world: &World) -> Value {
    let resources = envoy::resources(&proxy_plan(world, "backend-1"));
    let listener =
        resources.iter().find(|it| &*it.name == "inbound:10.0.0.1:80").expect("there is a listener");
    listener.to_json().expect("what was encoded is of its type")
}

fn chains(listener: &Value) -> BTreeSet<String> {
    let chains = listener["filter_chains"].as_array().expect("a listener has chains");
    chains.iter().map(ToString::to_string).collect()
}

/// The identities that are let in by each chain, by the name under which its clients call; `None`: all other names.
fn let_in(world: &World) -> BTreeMap<Option<String>, Vec<String>> {
    let listener = listener(world);
    let chains = listener["filter_chains"].as_array().expect("a listener has chains").iter();
    let of_chain = |chain: &Value| {
        let name = chain["filter_chain_match"]["server_names"][0].as_str().map(str::to_owned);
        let common = &chain["transport_socket"]["typed_config"]["common_tls_context"];
        let validation = &common["combined_validation_context"]["default_validation_context"];
        let matchers =
            validation["match_typed_subject_alt_names"].as_array().expect("never nobody in particular");
        (name, matchers.iter().map(|it| it["matcher"].to_string()).collect())
    };
    chains.filter(|chain| chain["transport_socket"].is_object()).map(of_chain).collect()
}

#[test]
fn a_grant_adds_a_chain_and_leaves_those_of_other_sources_as_they_are() {
    let before = permit(&with_mesh("{ enabled: true }"), "a", &["web", "mobile"]);
    let after = permit(&before, "b", &["batch", "web"]);
    let (before, after) = (chains(&listener(&before)), chains(&listener(&after)));
    // The last chain knows all of them, and is the only one that changes.
    assert_eq!((before.len(), after.len(), before.intersection(&after).count()), (3, 4, 2));
}

#[test]
fn a_revocation_takes_the_chain_of_that_source_and_no_other() {
    let before = permit(&with_mesh("{ enabled: true }"), "a", &["web", "mobile"]);
    let after = permit(&before, "a", &["mobile"]);
    let (before, after) = (chains(&listener(&before)), chains(&listener(&after)));
    assert_eq!((after.len(), before.intersection(&after).count()), (2, 1));
}

#[test]
fn naming_a_source_that_any_source_includes_changes_no_chain_that_is_there() {
    let before = permit(&with_mesh("{ enabled: true }"), "all", &["*"]);
    let after = permit(&before, "web", &["web"]);
    let (before, after) = (chains(&listener(&before)), chains(&listener(&after)));
    assert!(before.is_subset(&after));
}

#[test]
fn by_which_permission_a_source_comes_is_nothing_to_the_listener() {
    let before = permit(&with_mesh("{ enabled: true }"), "a", &["web"]);
    let after = permit(&before, "b", &["web"]);
    assert_eq!(listener(&before), listener(&after));
}

/// Each step from plain to strict and back leaves the chains of those who may stay, and all else of the listener.
#[test]
fn but_for_its_chains_an_inbound_is_the_same_with_and_without_mtls() {
    let modes = ["{}", "{ permissive: true }", "{ enabled: true, permissive: true }", "{ enabled: true }"];
    let listeners = modes.map(|mtls| listener(&permit(&with_mesh(mtls), "a", &["web"])));
    let [plain, accepted, used, demanded] = &listeners;
    assert_eq!(accepted, used, "what others do is nothing to an inbound");
    assert!(chains(plain).is_subset(&chains(accepted)), "plain connections stay");
    let staying: Vec<_> = chains(used).intersection(&chains(demanded)).cloned().collect();
    assert_eq!((staying.len(), staying[0].contains("spiffe://default/web")), (1, true));
    let without_chains = listeners.clone().map(|mut listener| {
        listener["filter_chains"].take();
        listener
    });
    assert!(without_chains.iter().all(|it| it == &without_chains[0]), "{without_chains:#?}");
}

#[test]
fn nobody_is_let_in_without_a_permission_and_everybody_where_it_is_permissive() {
    let nobody = let_in(&with_mesh("{ enabled: true }"));
    assert_eq!(nobody, [(None, vec![r#"{"exact":"spiffe://default/"}"#.to_owned()])].into());
    let everybody = let_in(&with_mesh("{ permissive: true }"));
    assert_eq!(everybody, [(None, vec![r#"{"prefix":"spiffe://default/"}"#.to_owned()])].into());
}

/// A chain follows from what is, and from no history: so whoever is named beside `*` goes on by `*` with new connections alone.
#[test]
fn a_name_that_any_source_includes_has_a_chain_of_its_own_and_loses_it_with_its_permission() {
    let any = permit(&with_mesh("{ enabled: true }"), "all", &["*"]);
    let named = permit(&any, "web", &["web"]);
    let (without, _) = named.apply([deleted(Kind::TrafficPermission, "web")]);
    assert_eq!((chains(&listener(&named)).len(), listener(&without)), (2, listener(&any)));
}

#[test]
fn above_256_sources_there_is_one_chain_for_all_and_before_that_a_warning() {
    let names: Vec<_> = (0..257).map(|i| format!("service-{i:03}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let world = with_mesh("{ enabled: true }");
    for (sources, chains, warned) in [
        (239, 240, None),
        (240, 241, Some("with more than that")),
        (256, 257, Some("with more")),
        (257, 1, Some("so each")),
    ] {
        let world = permit(&world, "many", &names[..sources]);
        let let_in = let_in(&world);
        assert_eq!((let_in.len(), let_in[&None].len()), (chains, sources));
        let warnings = proxy_plan(&world, "backend-1").warnings().concat();
        assert!(
            warned.map_or(warnings.is_empty(), |words| warnings.contains(words)),
            "{sources}: {warnings}"
        );
    }
}

/// What is no service proves nothing, so it lets nobody in, though it could not be written.
#[test]
fn a_source_that_is_more_than_a_service_lets_nobody_in() {
    let permission = "[{ type: TrafficPermission, mesh: default, name: odd,
        sources: [{ match: {} }, { match: { service: web, version: v1 } }, { match: { version: v1 } }],
        destinations: [{ match: { service: backend } }] }]";
    let (world, _) = with_mesh("{ enabled: true }").apply(changes(permission));
    assert_eq!(let_in(&world).len(), 1);
    assert_eq!(let_in(&world), let_in(&with_mesh("{ enabled: true }")));
}
