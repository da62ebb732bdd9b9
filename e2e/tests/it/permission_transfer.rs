//! A transfer between services with mTLS goes on, byte for byte, through everything that does not take away its permission; and
//! ends when that is taken away.

use reqwest::Method;
use testbed::{Answer, Programs};

use crate::{
    secured::{Plain, Secured, VALIDITY, permission, serial_number, until_renewed},
    transfer::{DRAIN_TIME, Transfer},
};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_revoked_is_cut_and_nobody_else_is() {
    outlives_all_but_its_own_revocation(Programs::find().unwrap(), 170).await;
}

pub(crate) async fn outlives_all_but_its_own_revocation(programs: Programs, network: u8) {
    let settings = [(VALIDITY, "30s")];
    let plain = Plain {
        programs,
        settings: &settings,
        answer: Answer::Echo,
        drain_time: DRAIN_TIME,
        ..Plain::of(network, &["web", "api"])
    };
    let mut secured = Secured::of(plain).await;
    for client in ["web", "api"] {
        secured.permit(client, &[client], &["backend"]).await;
    }
    let mut transfers = Vec::new();
    for client in ["web", "api"] {
        transfers.push(Transfer::start(secured.outbound(client)).await);
    }
    let [mut web, mut api] = <[Transfer; 2]>::try_from(transfers).ok().expect("there are two");
    let mut both_pass = async |phase: &str| {
        web.passes(phase).await;
        api.passes(phase).await;
    };
    both_pass("at rest").await;

    others_come_and_go(&secured).await;
    both_pass("after a hundred grants and revocations of others").await;
    until_renewed(secured.proxy("backend")).await;
    until_renewed(secured.proxy("web")).await;
    both_pass("after new certificates").await;
    rotate_the_ca(&secured).await;
    both_pass("after a new CA").await;
    let begun = make_a_ca(&secured).await;
    secured.shop.control_plane.kill_9().await.unwrap();
    both_pass("while kuma-cp is killed").await;
    secured.shop.control_plane.start_again().await.unwrap();
    secured.shop.until_online(3).await;
    secured.permit("other", &["other"], &["backend"]).await;
    both_pass("after kuma-cp has come back from kill -9").await;
    let cas = rotate_the_ca(&secured).await;
    assert!(cas.contains(&begun), "the one that was made before kill -9, and no further one: {cas}");
    both_pass("after the rotation that was begun before kill -9").await;

    secured.revoke("api").await;
    api.cut().await;
    secured.revoke("other").await;
    web.passes("after the other one was cut").await;
    web.finish().await;
}

/// A hundred of each. Of every ten, one is waited for, and the others overtake each other.
async fn others_come_and_go(secured: &Secured) {
    for round in 0..100 {
        let name = format!("other-{}", round % 7);
        let apply = permission(&name, &[&format!("service-{round}")], &["backend"]);
        secured.shop.control_plane.apply(&apply).await.unwrap();
        let is_waited_for = round % 10 == 0;
        if is_waited_for {
            secured.until_synced().await;
        }
        let path = format!("/meshes/default/traffic-permissions/{name}");
        secured.shop.control_plane.delete(&path).await.unwrap();
        if is_waited_for {
            secured.until_synced().await;
        }
    }
    secured.until_synced().await;
}

/// Its id. What begins like this, `kumactl rotate mesh-ca` ends.
async fn make_a_ca(secured: &Secured) -> String {
    let path = "/meshes/default/certificate-authorities";
    let made = secured.shop.control_plane.request(Method::POST, path, None).await.unwrap();
    let made: serde_json::Value = made.json().await.unwrap();
    made["id"].as_str().expect("it has an id").to_owned()
}

/// What the mesh has afterwards: a table.
async fn rotate_the_ca(secured: &Secured) -> String {
    let before = serial_number(secured.proxy("web")).await;
    let cas = secured.shop.kumactl(&["rotate", "mesh-ca"]).await;
    assert_eq!(cas.lines().count(), 2, "a header and the new one alone: {cas}");
    assert_ne!(serial_number(secured.proxy("web")).await, before, "a certificate by the new one");
    cas
}
