//! What a plan depends on: all of it, and nothing more.

use model::Kind;
use plan::{Outcome, World};

use crate::fixture::{SHOP, changes, deleted, planned, world};

#[track_caller]
fn check(world: &World, proxy: &str, expected: &[&str]) {
    let reads: Vec<_> = planned(world, proxy).reads.iter().map(ToString::to_string).collect();
    assert_eq!(reads, expected);
}

#[test]
fn a_plan_reads_its_routes_and_the_endpoints_of_every_destination() {
    check(
        &world(SHOP),
        "web-1",
        &[
            "Mesh default",
            "Dataplane default/web-1",
            "Endpoints default/backend",
            "Routes default/*",
            "Routes default/web",
            "Logs default/*",
            "Logs default/web",
            "Templates default/*",
            "Templates default/web",
        ],
    );
}

#[test]
fn the_endpoints_of_a_service_that_a_route_leads_away_from_are_not_read() {
    let (world, _) = world(SHOP).apply(changes(
        "[{ type: TrafficRoute, mesh: default, name: split, sources: [{ match: { service: web } }],
            destinations: [{ match: { service: backend } }], conf: [{ weight: 1, destination: { service: legacy } }] }]",
    ));
    let reads: Vec<_> = planned(&world, "web-1").reads.iter().map(ToString::to_string).collect();
    assert!(reads.contains(&"Endpoints default/legacy".to_owned()), "its first endpoint must be heard of");
    assert!(!reads.contains(&"Endpoints default/backend".to_owned()));
}

#[test]
fn who_sends_to_nobody_reads_no_routes_no_logs_and_no_endpoints() {
    let expected =
        ["Mesh default", "Dataplane default/backend-1", "Templates default/*", "Templates default/backend"];
    check(&world(SHOP), "backend-1", &expected);
}

#[test]
fn without_a_plan_the_mesh_and_the_dataplane_were_read() {
    let shop = world(SHOP);
    let expected = ["Mesh default", "Dataplane default/web-1"];
    let (without_dataplane, _) = shop.apply([deleted(Kind::Dataplane, "web-1")]);
    let (without_mesh, _) = shop.apply([deleted(Kind::Mesh, "default")]);
    for (world, outcome) in [
        (World::default(), Outcome::NoMesh),
        (world("[{ type: Mesh, name: default }]"), Outcome::Unknown),
        (without_dataplane, Outcome::Deleted),
        (without_mesh, Outcome::Deleted),
    ] {
        assert_eq!(planned(&world, "web-1").outcome, outcome);
        check(&world, "web-1", &expected);
    }
}

#[test]
fn what_was_deleted_and_made_again_is_planned_again() {
    let shop = world(SHOP);
    let before = planned(&shop, "web-1");
    let (gone, _) = shop.apply([deleted(Kind::Mesh, "default"), deleted(Kind::Dataplane, "web-1")]);
    let (back, _) = gone.apply(changes(SHOP));
    assert_eq!(planned(&back, "web-1"), before);
}
