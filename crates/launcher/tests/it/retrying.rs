//! A control plane that is away at start is waited for, and kuma-dp says so.

use nix::sys::signal::Signal;
use tokio::net::TcpListener;

use crate::fake_control_plane::{Answer, Ca, FakeControlPlane, always};
use crate::kuma_dp::{Home, Running};

#[tokio::test]
async fn until_it_listens() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    // An address of this test's own, on which nothing else takes the port in between.
    let reserved = TcpListener::bind("127.83.5.1:0").await.expect("any port is free");
    let address = reserved.local_addr().expect("it is bound");
    drop(reserved);
    let mut kuma_dp = Running::start(home.run(&format!("http://{address}")));
    let line = kuma_dp.line("is away").await;
    assert!(line.contains("Connection refused") && line.contains("trying again in 0."), "{line}");
    let _control_plane = FakeControlPlane::http_at(address, &ca, None).await;
    kuma_dp.envoy().await;
}

#[tokio::test]
async fn until_it_is_ready() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    for path in ["/ca.pem", "/catalogue", "/bootstrap"] {
        let answer = Answer { times: 1, ..always(path, 503, r#"{"title": "the view is not complete"}"#) };
        let control_plane = FakeControlPlane::http(&ca, Some(answer)).await;
        let mut kuma_dp = Running::start(home.run(&control_plane.url));
        let line = kuma_dp.line("is away").await;
        assert!(line.contains("503 Service Unavailable, the view is not complete"), "{path}: {line}");
        kuma_dp.envoy().await;
        kuma_dp.signal(Signal::SIGTERM);
        kuma_dp.signal(Signal::SIGINT);
        kuma_dp.end().await;
    }
}

#[tokio::test]
async fn or_until_a_signal() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let control_plane = FakeControlPlane::http(&ca, Some(always("/bootstrap", 503, ""))).await;
    let mut kuma_dp = Running::start(home.run(&control_plane.url));
    kuma_dp.line("is away").await;
    kuma_dp.signal(Signal::SIGTERM);
    let (status, stderr) = kuma_dp.end().await;
    assert_eq!(status.code(), Some(0), "{stderr}");
}
