//! How it ends: drained, in a hurry, or because Envoy did. The status is Envoy's.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;

use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal;
use tokio::process::Command;

use crate::fake_admin::FakeAdmin;
use crate::fake_control_plane::{Ca, FakeControlPlane};
use crate::kuma_dp::{Home, Running};

/// A kuma-dp whose Envoy is ready and has one connection.
async fn start(home: &Home, ca: &Ca, arguments: &[&str], stdin: impl Into<Stdio>) -> (Running, FakeAdmin) {
    let control_plane = FakeControlPlane::http(ca, None).await;
    let mut command = home.run(&control_plane.url);
    command.args(arguments).stdin(stdin);
    ready(home, command).await
}

async fn ready(home: &Home, command: Command) -> (Running, FakeAdmin) {
    let mut kuma_dp = Running::start(command);
    kuma_dp.envoy().await;
    let admin = FakeAdmin::listen(&home.path("config/admin.sock"));
    kuma_dp.line("Envoy is ready").await;
    (kuma_dp, admin)
}

/// A terminal, and the window that it is in: when that is closed, the terminal hangs up.
fn terminal() -> (PtyMaster, File) {
    // No other process of the tests may inherit it, or nothing would hang up.
    let window =
        posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).expect("there are terminals");
    grantpt(&window).expect("it is ours");
    unlockpt(&window).expect("it is ours");
    let name = ptsname_r(&window).expect("it has a name");
    let mut options = File::options();
    let terminal = options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(name);
    (window, terminal.expect("it is unlocked"))
}

/// The command as the leader of a session of its own, whose terminal it has for its standard input.
fn in_session(command: &Command, terminal: File) -> Command {
    let command = command.as_std();
    let mut leader = Command::new("setsid");
    leader.arg("--ctty").arg(command.get_program()).args(command.get_args());
    leader.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    leader.stdin(terminal).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    leader
}

#[tokio::test]
async fn a_signal_drains_envoy_until_its_last_connection_is_gone() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let ca = Ca::new();
        let home = Home::new(&ca.pin());
        let control_plane = FakeControlPlane::http(&ca, None).await;
        let mut command = home.run(&control_plane.url);
        command.args(["--drain-time", "1h"]);
        let (window, terminal) = terminal();
        let command = in_session(&command, terminal);
        let (kuma_dp, mut admin) = ready(&home, command).await;
        if signal == Signal::SIGHUP {
            // The kernel sends the signal.
            drop(window);
        } else {
            kuma_dp.signal(signal);
        }
        assert_eq!(admin.asked().await, "POST /healthcheck/fail");
        assert_eq!(admin.asked().await, "POST /drain_listeners?graceful&skip_exit");
        assert_eq!(admin.asked().await, "GET /stats?filter=downstream_cx_active");
        assert_eq!(admin.asked().await, "GET /stats?filter=downstream_cx_active");
        assert!(!home.path("terminated").exists(), "a connection is left");
        admin.last_connection_ends();
        let (status, stderr) = kuma_dp.end().await;
        assert_eq!(status.code(), Some(0), "{stderr}");
        assert!(stderr.contains("no connection is left"), "{stderr}");
        assert!(home.path("terminated").exists(), "Envoy was not told to end");
    }
}

#[tokio::test]
async fn not_longer_than_the_drain_time() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let (kuma_dp, _admin) = start(&home, &ca, &["--drain-time", "100ms"], Stdio::null()).await;
    kuma_dp.signal(Signal::SIGTERM);
    let (status, stderr) = kuma_dp.end().await;
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("the drain time is over"), "{stderr}");
}

#[tokio::test]
async fn a_second_signal_skips_the_drain() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let (mut kuma_dp, _admin) = start(&home, &ca, &["--drain-time", "1h"], Stdio::null()).await;
    kuma_dp.signal(Signal::SIGTERM);
    kuma_dp.line("draining Envoy").await;
    kuma_dp.signal(Signal::SIGINT);
    let (status, stderr) = kuma_dp.end().await;
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("the drain is skipped"), "{stderr}");
}

/// Fault: a daemon that dies of the signal by which log files are rotated. It has never had a terminal, or has it still, or its
/// shell has left it behind (`kuma-dp run & disown`).
#[tokio::test]
async fn a_hangup_that_somebody_sends_ends_nothing() {
    let (_window, there) = terminal();
    let (closing, left_behind) = terminal();
    for (stdin, closing) in
        [(Stdio::null(), None), (Stdio::from(there), None), (Stdio::from(left_behind), Some(closing))]
    {
        let ca = Ca::new();
        let home = Home::new(&ca.pin());
        let (mut kuma_dp, _admin) = start(&home, &ca, &["--drain-time", "1h"], stdin).await;
        drop(closing);
        for _ in 0..2 {
            kuma_dp.signal(Signal::SIGHUP);
            kuma_dp.line("the files of the access log are opened anew").await;
        }
        assert!(!home.path("terminated").exists(), "Envoy was told to end");
        kuma_dp.signal(Signal::SIGTERM);
        kuma_dp.line("draining Envoy").await;
        kuma_dp.signal(Signal::SIGTERM);
        let (status, stderr) = kuma_dp.end().await;
        assert!(status.success() && !stderr.contains("SIGHUP"), "{status}: {stderr}");
    }
}

#[tokio::test]
async fn an_envoy_that_crashes_gives_its_status() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let (kuma_dp, _admin) = start(&home, &ca, &[], Stdio::null()).await;
    let _folder = home.crash_envoy();
    let (status, stderr) = kuma_dp.end().await;
    assert_eq!(status.code(), Some(7), "{stderr}");
    assert!(stderr.contains("Envoy ended by itself, with exit status: 7"), "{stderr}");
}

#[tokio::test]
async fn an_envoy_that_does_not_end_is_killed() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let control_plane = FakeControlPlane::http(&ca, None).await;
    let mut command = home.run(&control_plane.url);
    command.args(["--drain-time", "0"]).env("FAKE_ENVOY_DEAF", "1");
    let mut kuma_dp = Running::start(command);
    kuma_dp.envoy().await;
    let _admin = FakeAdmin::listen(&home.path("config/admin.sock"));
    kuma_dp.line("Envoy is ready").await;
    kuma_dp.signal(Signal::SIGTERM);
    let (status, stderr) = kuma_dp.end().await;
    assert_eq!(status.code(), Some(128 + 9), "{stderr}");
    assert!(stderr.contains("it is killed"), "{stderr}");
}
