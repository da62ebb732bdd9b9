//! From a token to an Envoy that runs: what is asked, what is written, how Envoy is started.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid};
use serde_json::{Value, json};

use crate::fake_admin::FakeAdmin;
use crate::fake_control_plane::{Ca, FakeControlPlane};
use crate::kuma_dp::{FAKE_ENVOY, Home, Running};
use crate::metrics::{free_port, metrics_at_port};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}

#[tokio::test]
async fn it_asks_writes_what_envoy_reads_and_starts_envoy() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let control_plane = FakeControlPlane::http(&ca, None).await;
    let mut command = home.run(&control_plane.url);
    command.args(["--drain-time", "1500ms"]);
    let mut kuma_dp = Running::start(command);
    let started = kuma_dp.envoy().await;
    let config = home.path("config");
    let token = home.read("web-1.token");
    let token = token.trim();

    let asked = control_plane.asked();
    let requests: Vec<_> = asked.iter().map(|asked| asked.request.as_str()).collect();
    assert_eq!(requests, ["GET /ca.pem", "GET /catalogue", "POST /bootstrap"]);
    let authorizations: Vec<_> = asked.iter().map(|asked| asked.authorization.as_deref()).collect();
    assert_eq!(authorizations, [None, None, Some(format!("Bearer {token}").as_str())]);
    let expected = json!({
        "mesh": "default", "name": "web-1", "version": 1, "envoyVersion": "1.40.0",
        "workDir": config, "adminSocket": config.join("admin.sock"),
        "accessLogPipe": config.join("access-log.fifo"),
    });
    assert_eq!(asked[2].body, expected);

    let token_file: Value = serde_json::from_str(&home.read("config/token.yaml")).expect("it is JSON");
    let secret = &token_file["resources"][0];
    assert_eq!(
        (&secret["name"], &secret["generic_secret"]["secret"]["inline_string"]),
        (&json!("dataplane_token"), &json!(token))
    );
    let ca_file: Value = serde_json::from_str(&home.read("config/cp_ca.yaml")).expect("it is JSON");
    let secret = &ca_file["resources"][0];
    assert_eq!(secret["name"], "cp_ca");
    let pem = secret["validation_context"]["trusted_ca"]["inline_string"].as_str().expect("it is text");
    assert_eq!(pem.split_whitespace().collect::<String>(), ca.pem().split_whitespace().collect::<String>());
    assert!(home.read("config/bootstrap.yaml").contains("default.web-1"));
    assert_eq!(mode(&config), 0o700);
    for file in ["token.yaml", "cp_ca.yaml", "bootstrap.yaml", "access-log.fifo", "metrics.sock"] {
        assert_eq!(mode(&config.join(file)), 0o600, "{file}");
    }

    let started: Value = serde_json::from_str(&started).expect("not on a terminal, a line is JSON");
    let pid = Pid::from_raw(i32::try_from(started["pid"].as_i64().expect("a pid")).expect("a pid"));
    assert_eq!(getpgid(Some(pid)), Ok(pid), "Ctrl-C must not reach Envoy before the drain");

    let _admin = FakeAdmin::listen(&config.join("admin.sock"));
    let ready = kuma_dp.line("Envoy is ready").await;
    assert!(ready.contains(config.join("admin.sock").to_str().expect("it is UTF-8")), "{ready}");
    kuma_dp.signal(Signal::SIGTERM);
    kuma_dp.signal(Signal::SIGTERM);
    let (status, _) = kuma_dp.end().await;
    assert!(status.success(), "{status}");
    let arguments = home.read("arguments");
    let arguments: Vec<_> = arguments.lines().collect();
    let bootstrap = config.join("bootstrap.yaml");
    assert_eq!(
        arguments[..9],
        [
            "-c",
            bootstrap.to_str().expect("it is UTF-8"),
            "--drain-time-s",
            "2",
            "--drain-strategy",
            "immediate",
            "--disable-hot-restart",
            "--file-flush-interval-msec",
            "500",
        ]
    );
}

#[tokio::test]
async fn every_flag_has_its_variable() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let control_plane = FakeControlPlane::http(&ca, None).await;
    let ca_file = home.path("ca.pem");
    fs::write(&ca_file, ca.pem()).expect("the folder is ours");
    let metrics_port = free_port();
    let mut command = home.kuma_dp();
    command
        .arg("run")
        .env("KUMA_DATAPLANE_NAME", "web-1")
        .env("KUMA_DATAPLANE_MESH", "default")
        .env("KUMA_CONTROL_PLANE_API_SERVER_URL", &control_plane.url)
        .env("KUMA_CONTROL_PLANE_CA_CERT_FILE", &ca_file)
        .env("KUMA_DATAPLANE_RUNTIME_TOKEN_PATH", home.path("web-1.token"))
        .env("KUMA_DATAPLANE_RUNTIME_BINARY_PATH", FAKE_ENVOY)
        .env("KUMA_DATAPLANE_RUNTIME_CONFIG_DIR", home.path("elsewhere"))
        .env("KUMA_DATAPLANE_ADMIN_PORT", "9901")
        .env("KUMA_DATAPLANE_METRICS_PORT", metrics_port.to_string())
        .env("KUMA_DATAPLANE_DRAIN_TIME", "1s");
    let mut kuma_dp = Running::start(command);
    kuma_dp.envoy().await;
    let asked = control_plane.asked();
    assert_eq!(asked.len(), 2, "a CA that was named is not fetched: {asked:?}");
    assert_eq!(asked[1].body["adminPort"], 9901);
    assert!(home.path("elsewhere/bootstrap.yaml").exists());
    assert!(metrics_at_port(metrics_port).await.contains("# EOF"));
}

#[tokio::test]
async fn a_token_is_all_that_another_machine_needs() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let control_plane = FakeControlPlane::https(&ca, "127.0.0.1", &ca).await;
    let mut kuma_dp = Running::start(home.run(&control_plane.url));
    kuma_dp.envoy().await;
    assert_eq!(control_plane.asked().len(), 3);
}

#[tokio::test]
async fn a_newer_envoy_is_used_with_a_warning() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let control_plane = FakeControlPlane::http(&ca, None).await;
    let mut command = home.run(&control_plane.url);
    command.env("FAKE_ENVOY_VERSION", "1.41.0-dev");
    let mut kuma_dp = Running::start(command);
    kuma_dp.line("newer than those").await;
    kuma_dp.envoy().await;
    assert_eq!(control_plane.asked()[2].body["envoyVersion"], "1.41.0-dev");
}

#[tokio::test]
async fn an_envoy_left_behind_is_ended_first() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let control_plane = FakeControlPlane::http(&ca, None).await;
    fs::create_dir(home.path("config")).expect("the folder is ours");
    let mut leftover = FakeAdmin::listen(&home.path("config/admin.sock"));
    let mut kuma_dp = Running::start(home.run(&control_plane.url));
    assert_eq!(leftover.asked().await, "POST /quitquitquit");
    assert!(control_plane.asked().is_empty(), "first it ends, then the new one is asked for");
    leftover.end();
    kuma_dp.line("left behind").await;
    kuma_dp.envoy().await;
    assert!(!home.path("config/admin.sock").exists(), "the old socket is gone");
}
