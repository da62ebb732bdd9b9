//! What a change touches, and nothing else.

use std::collections::BTreeSet;

use model::Kind;
use plan::{Change, World};

use crate::fixture::{SHOP, changes, deleted, world};

/// The parts that `change` touches in the shop.
fn touched(change: impl IntoIterator<Item = Change>) -> BTreeSet<String> {
    world(SHOP).apply(change).1.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check(yaml: &str, expected: &[&str]) {
    assert_eq!(touched(changes(yaml)), expected.iter().map(ToString::to_string).collect(), "{yaml}");
}

#[test]
fn from_nothing_every_part_with_a_content_is_new() {
    let (_, parts) = World::default().apply(changes(SHOP));
    let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
    assert_eq!(
        parts,
        [
            "Mesh default",
            "Dataplane default/backend-1",
            "Dataplane default/backend-2",
            "Dataplane default/web-1",
            "Endpoints default/backend",
            "Endpoints default/web",
            "Routes default/web",
        ]
    );
}

#[test]
fn an_equal_put_touches_nothing() {
    check(SHOP, &[]);
}

#[test]
fn a_new_dataplane_touches_itself_and_the_endpoints_of_its_services() {
    check(
        "[{ type: Dataplane, mesh: default, name: backend-3, networking: { inbound: [
            { interface: '10.0.1.3:90:9090', tags: { service: backend } } ] } }]",
        &["Dataplane default/backend-3", "Endpoints default/backend"],
    );
}

#[test]
fn a_change_of_outbounds_touches_no_endpoints() {
    check(
        "[{ type: Dataplane, mesh: default, name: web-1, networking: {
            inbound: [{ interface: '10.0.0.1:80:8080', tags: { service: web } }],
            outbound: [{ interface: ':9001', service: backend }] } }]",
        &["Dataplane default/web-1"],
    );
}

#[test]
fn a_workload_port_is_nobody_else_s_business() {
    check(
        "[{ type: Dataplane, mesh: default, name: backend-1, networking: { inbound: [
            { interface: '10.0.1.1:90:9999', tags: { service: backend, version: v1 } } ] } }]",
        &["Dataplane default/backend-1"],
    );
}

#[test]
fn what_no_plan_reads_touches_nothing() {
    check(
        "[{ type: Dataplane, mesh: default, name: web-1, networking: {
            inbound: [{ interface: '10.0.0.1:80:8080', tags: { service: web } }],
            outbound: [{ interface: ':9000', service: backend, servicePort: 1 }] } }]",
        &[],
    );
}

#[test]
fn an_inbound_that_changes_its_service_touches_both() {
    check(
        "[{ type: Dataplane, mesh: default, name: backend-1, networking: { inbound: [
            { interface: '10.0.1.1:90:9090', tags: { service: legacy, version: v1 } } ] } }]",
        &["Dataplane default/backend-1", "Endpoints default/backend", "Endpoints default/legacy"],
    );
}

#[test]
fn an_endpoint_that_moves_to_another_dataplane_is_the_same_endpoint() {
    let moved = changes(
        "[{ type: Dataplane, mesh: default, name: backend-9, networking: { inbound: [
            { interface: '10.0.1.1:90:9090', tags: { service: backend, version: v1 } } ] } }]",
    );
    let parts = touched(moved.into_iter().chain([deleted(Kind::Dataplane, "backend-1")]));
    let expected = ["Dataplane default/backend-1", "Dataplane default/backend-9"];
    assert_eq!(parts, expected.map(str::to_owned).into());
}

#[test]
fn an_endpoint_goes_with_the_last_who_claims_it() {
    let twin = "[{ type: Dataplane, mesh: default, name: twin, networking: { inbound: [
        { interface: '10.0.1.1:90:9090', tags: { service: backend, version: v1 } } ] } }]";
    let (world, parts) = world(SHOP).apply(changes(twin));
    assert_eq!(parts.len(), 1, "the second claim is no new endpoint: {parts:?}");
    let (world, parts) = world.apply([deleted(Kind::Dataplane, "backend-1")]);
    assert_eq!(parts.len(), 1, "one who claims it is left: {parts:?}");
    let (_, parts) = world.apply([deleted(Kind::Dataplane, "twin")]);
    assert_eq!(parts.len(), 2, "nobody is left: {parts:?}");
}

#[test]
fn a_route_touches_the_services_of_its_sources_before_and_after() {
    check(
        "[{ type: TrafficRoute, mesh: default, name: split, sources: [{ match: { service: '*' } }],
            destinations: [{ match: { service: backend } }], conf: [{ weight: 1, destination: { service: backend } }] }]",
        &["Routes default/web", "Routes default/*"],
    );
}

#[test]
fn a_source_more_touches_only_those_whom_it_adds() {
    check(
        "[{ type: TrafficRoute, mesh: default, name: split,
            sources: [{ match: { service: web } }, { match: { service: api } }],
            destinations: [{ match: { service: backend } }],
            conf: [
                { weight: 90, destination: { service: backend, version: v1 } },
                { weight: 10, destination: { service: backend, version: v2 } } ] }]",
        &["Routes default/api"],
    );
}

#[test]
fn a_mesh_touches_its_settings_alone() {
    check("[{ type: Mesh, name: default, logging: { defaultBackend: x } }]", &["Mesh default"]);
}

#[test]
fn only_the_last_change_of_an_entity_counts() {
    let again = changes(SHOP);
    let gone = [deleted(Kind::Mesh, "default"), deleted(Kind::Dataplane, "web-1")];
    assert_eq!(touched(gone.into_iter().chain(again)), BTreeSet::new());
}

#[test]
fn a_second_delete_touches_nothing() {
    let (world, parts) = world(SHOP).apply([deleted(Kind::Dataplane, "web-1")]);
    assert_eq!(parts.len(), 2);
    assert!(world.apply([deleted(Kind::Dataplane, "web-1")]).1.is_empty());
}

#[test]
fn a_log_touches_those_for_the_services_of_its_sources() {
    let log = |backend: &str| {
        format!(
            "[{{ type: TrafficLog, mesh: default, name: all, sources: [{{ match: {{ service: web, version: v1 }} }},
                {{ match: {{ service: '*' }} }}], destinations: [{{ match: {{ service: backend }} }}],
                conf: {{ backend: {backend} }} }}]"
        )
    };
    check(&log("file"), &["Logs default/*", "Logs default/web"]);
    let (logged, _) = world(SHOP).apply(changes(&log("file")));
    let touched = |change: Vec<Change>| logged.apply(change).1.len();
    assert_eq!(touched(changes(&log("file"))), 0);
    assert_eq!(touched(changes(&log("tcp"))), 2);
    assert_eq!(touched(vec![deleted(Kind::TrafficLog, "all")]), 2);
}

#[test]
fn a_template_touches_those_for_the_services_of_its_selectors_or_for_any() {
    let template = |selectors: &str, seconds: u8| {
        format!(
            "[{{ type: ProxyTemplate, mesh: default, name: t, selectors: {selectors}, conf: {{ resources: [{{ name: a, version: a,
                resource: '{{\"@type\": \"type.googleapis.com/envoy.config.cluster.v3.Cluster\", \"name\": \"a\",
                \"connectTimeout\": \"{seconds}s\"}}' }}] }} }}]"
        )
    };
    let of_web = "[{ match: { service: web } }]";
    check(&template("[]", 1), &["Templates default/*"]);
    check(&template("[{}]", 1), &["Templates default/*"]);
    check(&template(of_web, 1), &["Templates default/web"]);
    let (with, _) = world(SHOP).apply(changes(&template(of_web, 1)));
    let touched = |change: Vec<Change>| with.apply(change).1.len();
    assert_eq!(touched(changes(&template(of_web, 1))), 0);
    assert_eq!(touched(changes(&template(of_web, 2))), 1, "another text");
    assert_eq!(touched(changes(&template("[]", 1))), 2);
    assert_eq!(touched(vec![deleted(Kind::ProxyTemplate, "t")]), 1);
}
