//! A new token counts without a restart, however the file is changed; a bad one changes nothing.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::fake_control_plane::{Ca, FakeControlPlane};
use crate::kuma_dp::{Home, Running, token};

fn token_number(number: u32) -> String {
    token(&json!({ "Name": "web-1", "Mesh": "default", "jti": number.to_string() }))
}

/// A kuma-dp whose Envoy has been started.
async fn start(home: &Home, ca: &Ca) -> Running {
    let control_plane = FakeControlPlane::http(ca, None).await;
    let mut kuma_dp = Running::start(home.run(&control_plane.url));
    kuma_dp.envoy().await;
    kuma_dp
}

#[tokio::test]
async fn written_in_place_or_renamed_over() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let mut kuma_dp = start(&home, &ca).await;

    home.write_token(&token_number(1));
    kuma_dp.line("the new token is in place").await;
    assert!(home.read("config/token.yaml").contains(&token_number(1)));

    fs::write(home.path("new"), token_number(2)).expect("the folder is ours");
    fs::rename(home.path("new"), home.path("web-1.token")).expect("the folder is ours");
    kuma_dp.line("the new token is in place").await;
    assert!(home.read("config/token.yaml").contains(&token_number(2)));
}

#[tokio::test]
async fn behind_a_link_that_is_switched() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    for version in ["one", "two"] {
        fs::create_dir(home.path(version)).expect("the folder is ours");
    }
    fs::rename(home.path("web-1.token"), home.path("one/token")).expect("the folder is ours");
    symlink("one", home.path("data")).expect("the folder is ours");
    symlink("data/token", home.path("web-1.token")).expect("the folder is ours");
    let mut kuma_dp = start(&home, &ca).await;

    fs::write(home.path("two/token"), token_number(2)).expect("the folder is ours");
    symlink("two", home.path("new-data")).expect("the folder is ours");
    fs::rename(home.path("new-data"), home.path("data")).expect("the folder is ours");
    kuma_dp.line("the new token is in place").await;
    assert!(home.read("config/token.yaml").contains(&token_number(2)));

    // The folder that the link leads to now is watched too.
    fs::write(home.path("two/token"), token_number(3)).expect("the folder is ours");
    kuma_dp.line("the new token is in place").await;
    assert!(home.read("config/token.yaml").contains(&token_number(3)));
}

#[tokio::test]
async fn a_bad_one_is_reported_and_the_one_before_stays() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let before = home.read("web-1.token");
    let mut kuma_dp = start(&home, &ca).await;
    home.write_token("garbage");
    // It may be seen while it is empty, too.
    let line = kuma_dp.line("not a JWT").await;
    assert!(line.contains("the token before stays in use"), "{line}");
    assert!(home.read("config/token.yaml").contains(before.trim()));
}
