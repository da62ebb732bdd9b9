//! Versions follow content: what did not change keeps its version, what did has another.

use std::collections::{BTreeMap, BTreeSet};

use plan::{World, envoy};

use crate::fixture::{SHOP, changes, proxy_plan, world};

/// By type (its last word) and name.
fn versions(world: &World, proxy: &str) -> BTreeMap<String, String> {
    let resources = envoy::resources(&proxy_plan(world, proxy));
    let short =
        |type_url: &str| type_url.rsplit_once('.').map_or_else(String::new, |(_, name)| name.to_owned());
    resources
        .iter()
        .map(|it| (format!("{} {}", short(it.type_url), it.name), it.version.to_string()))
        .collect()
}

/// The resources of `web-1` that are new, gone or others after a change to the shop.
fn changed_by(yaml: &str) -> BTreeSet<String> {
    let shop = world(SHOP);
    let (before, after) = (versions(&shop, "web-1"), versions(&shop.apply(changes(yaml)).0, "web-1"));
    let names = before.keys().chain(after.keys());
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

#[track_caller]
fn check(yaml: &str, expected: &[&str]) {
    assert_eq!(changed_by(yaml), expected.iter().map(ToString::to_string).collect());
}

#[test]
fn a_version_is_16_hex_digits_and_no_two_resources_share_one() {
    let versions = versions(&world(SHOP), "web-1");
    assert!(versions.values().all(|it| it.len() == 16 && it.bytes().all(|byte| byte.is_ascii_hexdigit())));
    assert_eq!(versions.values().collect::<BTreeSet<_>>().len(), versions.len());
}

#[test]
fn a_route_edit_changes_the_filter_and_never_the_listener() {
    check(
        "[{ type: TrafficRoute, mesh: default, name: split, sources: [{ match: { service: web } }],
            destinations: [{ match: { service: backend } }],
            conf: [
                { weight: 50, destination: { service: backend, version: v1 } },
                { weight: 50, destination: { service: backend, version: v2 } } ] }]",
        &["TypedExtensionConfig tcp:outbound:127.0.0.1:9000"],
    );
}

#[test]
fn the_name_of_a_route_is_no_content() {
    let renamed =
        "[{ type: TrafficRoute, mesh: default, name: earlier, sources: [{ match: { service: web } }],
        destinations: [{ match: { service: backend } }],
        conf: [
            { weight: 90, destination: { service: backend, version: v1 } },
            { weight: 10, destination: { service: backend, version: v2 } } ] }]";
    let (after, _) = world(SHOP).apply(changes(renamed));
    assert_eq!(proxy_plan(&after, "web-1").outbounds[0].route.as_deref(), Some("earlier"));
    check(renamed, &[]);
}

#[test]
fn an_endpoint_changes_the_assignments_that_it_is_in_and_no_cluster() {
    check(
        "[{ type: Dataplane, mesh: default, name: backend-3, networking: { inbound: [
            { interface: '10.0.1.3:90:9090', tags: { service: backend, version: v1 } } ] } }]",
        &["ClusterLoadAssignment backend{version=v1}"],
    );
}

#[test]
fn a_tag_more_is_another_endpoint() {
    check(
        "[{ type: Dataplane, mesh: default, name: backend-1, networking: { inbound: [
            { interface: '10.0.1.1:90:9090', tags: { service: backend, version: v1, zone: a } } ] } }]",
        &["ClusterLoadAssignment backend{version=v1}"],
    );
}

#[test]
fn two_proxies_with_equal_needs_have_equal_resources() {
    let twin = "[{ type: Dataplane, mesh: default, name: web-2, networking: {
        inbound: [{ interface: '10.0.0.2:80:8080', tags: { service: web } }],
        outbound: [{ interface: ':9000', service: backend }] } }]";
    let (world, _) = world(SHOP).apply(changes(twin));
    let (one, two) = (versions(&world, "web-1"), versions(&world, "web-2"));
    let own: Vec<_> =
        one.iter().filter(|(name, version)| two.get(*name) != Some(version)).map(|it| it.0).collect();
    assert_eq!(own, ["Listener inbound:10.0.0.1:80", "TypedExtensionConfig tcp:inbound:10.0.0.1:80"]);
}
