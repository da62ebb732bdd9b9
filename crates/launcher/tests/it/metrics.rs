//! What kuma-dp counts, as a scraper asks for it.

use std::net::TcpListener;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::fake_control_plane::{Ca, FakeControlPlane};
use crate::kuma_dp::{DEADLINE, Home, Running, end_of};

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("any port is free");
    listener.local_addr().expect("it is bound").port()
}

pub(crate) async fn metrics_at_port(port: u16) -> String {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    get(stream, "GET /metrics").await
}

pub(crate) async fn metrics_at_socket(socket: &Path) -> String {
    get(UnixStream::connect(socket).await.expect("it listens"), "GET /metrics").await
}

/// Asks until the metrics have the line.
pub(crate) async fn until_counted(socket: &Path, line: &str) {
    let counted = async {
        while !metrics_at_socket(socket).await.lines().any(|counted| counted == line) {
            tokio::task::yield_now().await;
        }
    };
    let Ok(()) = timeout(DEADLINE, counted).await else {
        panic!("no line `{line}` in {}", metrics_at_socket(socket).await);
    };
}

/// The whole answer, from the status line on.
async fn get<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> String {
    let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    timeout(DEADLINE, read).await.expect("it answers in time").expect("it ends the connection");
    answer
}

#[tokio::test]
async fn a_socket_serves_the_metrics_and_nothing_else() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let control_plane = FakeControlPlane::http(&ca, None).await;
    let mut kuma_dp = Running::start(home.run(&control_plane.url));
    kuma_dp.envoy().await;
    let socket = home.path("config/metrics.sock");
    for (request, status) in [
        ("GET /metrics", "200"),
        ("HEAD /metrics", "200"),
        ("POST /metrics", "405"),
        ("GET /", "404"),
        ("GET /metrics/../token", "404"),
    ] {
        let answer = get(UnixStream::connect(&socket).await.expect("it listens"), request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    let answer = metrics_at_socket(&socket).await;
    assert!(answer.contains("application/openmetrics-text"), "{answer}");
    assert!(
        answer.contains("kuma_dp_access_log_lines_dropped_total{reason=\"malformed\"} 0\n")
            && answer.ends_with("# EOF\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn who_says_nothing_keeps_nobody_out() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let control_plane = FakeControlPlane::http(&ca, None).await;
    let mut kuma_dp = Running::start(home.run(&control_plane.url));
    kuma_dp.envoy().await;
    let socket = home.path("config/metrics.sock");
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(UnixStream::connect(&socket).await.expect("the kernel takes it"));
    }
    assert!(metrics_at_socket(&socket).await.contains("# EOF"));
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_before_the_control_plane_is_asked() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let control_plane = FakeControlPlane::http(&ca, None).await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("any port is free");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let mut command = home.run(&control_plane.url);
    command.args(["--metrics-port", &port]);
    let (status, stderr) = end_of(command).await;
    assert_eq!(status, Some(1), "{stderr}");
    assert!(stderr.contains(&port) && stderr.contains("another port with --metrics-port"), "{stderr}");
    assert!(control_plane.asked().is_empty());
}
