//! The pipe that Envoy writes into: who was refused is said and counted, whatever a stranger chooses.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::fake_control_plane::{Ca, FakeControlPlane};
use crate::kuma_dp::{Home, Running};
use crate::metrics::until_counted;

const FAILED: &str = "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED";

/// A kuma-dp with its Envoy, and the pipe between them.
pub(crate) struct Mesh {
    pub(crate) home: Home,
    pub(crate) kuma_dp: Running,
}

impl Mesh {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// `change`: what is different about how kuma-dp is started.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Command)) -> Self {
        let ca = Ca::new();
        let home = Home::new(&ca.pin());
        let control_plane = FakeControlPlane::http(&ca, None).await;
        let mut command = home.run(&control_plane.url);
        change(&mut command);
        let mut kuma_dp = Running::start(command);
        kuma_dp.envoy().await;
        Self { home, kuma_dp }
    }

    /// Writes as Envoy does: another process, which opens the pipe for writing.
    pub(crate) async fn write(&self, line: &str) {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", r#"printf '%s\n' "$1" > "$2""#, "sh", line])
            .arg(self.home.path("config/access-log.fifo"));
        assert!(shell.status().await.expect("there is a shell").success());
    }

    pub(crate) async fn until_counted(&self, line: &str) {
        until_counted(&self.home.path("config/metrics.sock"), line).await;
    }

    /// The next line with this message, as its fields.
    pub(crate) async fn logged(&mut self, message: &str) -> Value {
        serde_json::from_str(&self.kuma_dp.line(message).await).expect("not on a terminal, a line is JSON")
    }
}

/// As Envoy 1.40 writes it.
fn refused(source: &str, reason: &str) -> String {
    json!({
        "target": "refused", "inbound": "inbound:10.0.0.1:80", "destination": "backend", "source": source,
        "address": "10.0.0.9:41234", "reason": format!("{FAILED}{reason}:TLS_error_end"),
    })
    .to_string()
}

fn not_permitted(source: &str) -> String {
    refused(source, &format!(":verify_cert_failed:_SAN_matcher,_certificate_SANs_are_[{source}]"))
}

#[tokio::test]
async fn who_is_not_permitted_is_named_in_the_log_and_in_the_metrics() {
    let mut mesh = Mesh::start().await;
    mesh.write(&not_permitted("spiffe://default/web")).await;
    let logged = mesh.logged("no TrafficPermission").await;
    for (field, expected) in [
        ("level", "warn"),
        ("source", "spiffe://default/web"),
        ("destination", "backend"),
        ("inbound", "inbound:10.0.0.1:80"),
        ("address", "10.0.0.9:41234"),
    ] {
        assert_eq!(logged[field], expected, "{logged}");
    }
    assert!(logged["reason"].as_str().is_some_and(|reason| reason.contains("SAN_matcher")), "{logged}");
    mesh.until_counted(r#"kuma_dp_denied_total{source="web",destination="backend"} 1"#).await;
}

/// As Envoy writes it of a caller that has said nothing: not even a reason.
#[tokio::test]
async fn who_speaks_no_tls_is_told_apart_and_counted_as_unknown() {
    let mut mesh = Mesh::start().await;
    let line = json!({
        "target": "refused", "inbound": "inbound:10.0.0.1:80", "destination": "backend", "source": null,
        "address": "10.0.0.9:41234", "reason": null, "details": "filter_chain_not_found",
    });
    mesh.write(&line.to_string()).await;
    let logged = mesh.logged("a call was refused").await;
    let expected = "a call was refused: the caller speaks no TLS, and this inbound takes nothing else";
    assert_eq!((&logged["msg"], &logged["address"]), (&json!(expected), &json!("10.0.0.9:41234")));
    mesh.until_counted(r#"kuma_dp_denied_total{source="unknown",destination="backend"} 1"#).await;
}

/// Fault F25. The stranger signs a certificate for itself and writes a line break, and what looks like a target, into it.
#[tokio::test]
async fn a_line_break_in_a_strangers_certificate_writes_nothing_anywhere() {
    let mut mesh = Mesh::start().await;
    let owned = mesh.home.path("owned");
    let source = format!("spiffe://default/web\nfile:{}\u{1b}[31m;x", owned.display());
    mesh.write(&refused(&source, ":verify_cert_failed:_X509_verify_cert:_self_signed_certificate")).await;
    let logged = mesh.logged("a call was refused").await;
    assert_eq!(logged["msg"], "a call was refused: its source is not proved");
    let expected = format!("spiffe://default/web\\nfile:{}\\u{{1b}}[31m;x", owned.display());
    assert_eq!(logged["source"], expected.as_str());
    mesh.until_counted(r#"kuma_dp_denied_total{source="unknown",destination="backend"} 1"#).await;
    assert!(!owned.exists(), "a stranger chose a file");
}

#[tokio::test]
async fn what_is_no_entry_is_dropped_counted_and_warned_about_once() {
    let mut mesh = Mesh::start().await;
    for line in ["garbage", "more garbage", r#"{"target":"udp:/tmp/x","text":"x"}"#, &"x".repeat(70_000)] {
        mesh.write(line).await;
    }
    for (reason, count) in [("malformed", 2), ("unknown_target", 1), ("too_long", 1)] {
        let counted = format!(r#"kuma_dp_access_log_lines_dropped_total{{reason="{reason}"}} {count}"#);
        mesh.until_counted(&counted).await;
    }
    mesh.write(&not_permitted("spiffe://default/web")).await;
    mesh.logged("no TrafficPermission").await;
    let end = mesh.end().await;
    assert_eq!(end.matches("was dropped").count(), 3, "once a reason:\n{end}");
    assert!(!end.contains("garbage") && !end.contains("/tmp/x"), "nothing of a line is said:\n{end}");
}

#[tokio::test]
async fn a_flood_is_counted_and_not_logged() {
    const LINES: usize = 100_000;
    const MOST_KB: u64 = 64 * 1024;

    let mesh = Mesh::start().await;
    let before = peak_memory(&mesh);
    let pipe = mesh.home.path("config/access-log.fifo");
    let line = not_permitted("spiffe://default/web") + "\n";
    let flood = move || {
        let mut pipe = File::options().write(true).open(pipe).expect("the pipe is there");
        let lines = line.repeat(100);
        for _ in 0..LINES / 100 {
            pipe.write_all(lines.as_bytes()).expect("kuma-dp reads");
        }
    };
    tokio::task::spawn_blocking(flood).await.expect("it writes all of it");
    mesh.until_counted(&format!(r#"kuma_dp_denied_total{{source="web",destination="backend"}} {LINES}"#))
        .await;
    let grown = peak_memory(&mesh) - before;
    assert!(grown < MOST_KB, "{grown} kB more");

    let end = mesh.end().await;
    let lines: Vec<Value> = end.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let named = lines.iter().filter(|line| line["source"] == "spiffe://default/web").count();
    let suppressed: u64 = lines.iter().filter_map(|line| line["suppressed"].as_u64()).sum();
    assert_eq!(u64::try_from(named).expect("a few") + suppressed, LINES as u64, "all are spoken of:\n{end}");
    assert!(named < LINES / 100, "{named} lines");
}

#[tokio::test]
async fn what_envoy_writes_last_is_still_read() {
    let mut mesh = Mesh::start().await;
    mesh.write(&not_permitted("spiffe://default/web")).await;
    let _folder = mesh.home.crash_envoy();
    mesh.kuma_dp.line("spiffe://default/web").await;
    let (status, stderr) = mesh.kuma_dp.end().await;
    assert_eq!(status.code(), Some(7), "{stderr}");
}

impl Mesh {
    /// Ends it in a hurry. All that it has logged.
    pub(crate) async fn end(self) -> String {
        self.kuma_dp.signal(Signal::SIGTERM);
        self.kuma_dp.signal(Signal::SIGTERM);
        let (status, stderr) = self.kuma_dp.end().await;
        assert!(status.success(), "{status}: {stderr}");
        stderr
    }
}

/// In kB (proc(5), VmHWM).
fn peak_memory(mesh: &Mesh) -> u64 {
    let path = format!("/proc/{}/status", mesh.kuma_dp.pid());
    let status = fs::read_to_string(Path::new(&path)).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}
