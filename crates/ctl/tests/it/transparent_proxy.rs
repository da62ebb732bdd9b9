//! `kumactl install transparent-proxy` without root: what it prints, and how it fails. That the rules do what they say is shown
//! end to end, with a kernel.

use nix::unistd::Uid;
use tokio::process::Command;

use crate::program::Kumactl;

#[tokio::test]
async fn it_prints_a_script_and_leaves_no_file_behind() {
    let kumactl = Kumactl::new();
    let ran = kumactl.run(&["install", "transparent-proxy", "--kuma-dp-user", "5678"]).await;
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.starts_with("#!/bin/sh\n"), "{ran:?}");
    assert!(ran.stdout.contains("--uid-owner 5678 -j RETURN\n"), "{ran:?}");
    assert!(ran.stdout.contains("--to-ports 15001\n"), "{ran:?}");
    assert!(!kumactl.path(".kumactl").exists(), "no configuration is read, or made");
}

#[tokio::test]
async fn a_user_that_the_machine_does_not_know_is_refused() {
    let arguments = ["install", "transparent-proxy", "--kuma-dp-user", "no-such-user", "--apply"];
    Kumactl::new().run(&arguments).await.expect_error(1, &["no user \"no-such-user\"", "or give the uid"]);
}

#[tokio::test]
async fn root_as_the_user_of_kuma_dp_is_allowed_and_warned_of() {
    for root in ["root", "0"] {
        let ran = Kumactl::new().run(&["install", "transparent-proxy", "--kuma-dp-user", root]).await;
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.stdout.contains("--uid-owner 0 -j RETURN\n"), "{ran:?}");
        let warning = "Warning: --kuma-dp-user is root: all connections of root's go past the proxy";
        assert!(ran.stderr.starts_with(warning) && ran.stderr.lines().count() == 1, "{ran:?}");
    }
}

/// Where the tests run as root, it runs as another user, who may read their files all the same.
#[tokio::test]
async fn who_is_not_root_is_told_so_and_changes_nothing() {
    let anybody =
        ["setpriv", "--reuid", "65534", "--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"];
    let as_anybody = if Uid::effective().is_root() { &anybody[..] } else { &["env"] };
    for options in [&["--kuma-dp-user", "1", "--apply"][..], &["--remove"]] {
        let mut command = Command::new(as_anybody[0]);
        command.args(&as_anybody[1..]).arg(env!("CARGO_BIN_EXE_kumactl"));
        let output = command.args(["install", "transparent-proxy"]).args(options).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(
            said,
            "Error: only root may change the rules of this machine; run it with sudo (nothing was changed)\n"
        );
    }
}
