//! What the command line alone decides: help, versions, completions, and how it is used wrongly.

use crate::{fake_api::FakeApi, program::Kumactl};

#[tokio::test]
async fn a_command_line_that_cannot_work_is_status_2() {
    let kumactl = Kumactl::with("http://127.0.0.1:1");
    for (arguments, part) in [
        (&["nonsense"][..], "nonsense"),
        (&["gett", "meshes"], "'get'"),
        (&["get", "nonsense"], "nonsense"),
        (&["get", "meshes", "more"], "more"),
        (&["get", "meshes", "-o", "xml"], "xml"),
        (&["get", "meshes", "--log-level", "loud"], "loud"),
        (&["help", "nonsense"], "nonsense"),
        (&["apply", "-v", "name"], "name must be formatted as key=value"),
        (&["inspect", "dataplanes", "--tag", "service"], "service must be formatted as key=value"),
        (&["inspect", "dataplane"], "<NAME>"),
        (&["inspect", "dataplane", "web", "-o", "wide"], "wide"),
        (&["delete"], "<TYPE>"),
        (&["delete", "mesh"], "<NAME>"),
        (&["delete", "nonsense", "a"], "traffic-route"),
        (&["delete", "mesh", "a", "b"], "'b'"),
        (&["generate", "dataplane-token"], "--dataplane"),
        (&["revoke", "dataplane-token"], "--token-file"),
        (&["revoke", "dataplane-token", "--jti", "a", "--token-file", "b"], "--token-file"),
        (&["rotate", "token-key", "--retire", ""], "--retire"),
        (&["rotate", "mesh-ca", "--timeout", "soon"], "such as 5m, 1h30m or 90s"),
        (&["install", "transparent-proxy"], "--kuma-dp-user"),
        (&["install", "transparent-proxy", "--apply"], "--kuma-dp-user"),
        (&["install", "transparent-proxy", "--kuma-dp-user", "1", "--apply", "--remove"], "--remove"),
        (&["install", "transparent-proxy", "--kuma-dp-user", "1", "--redirect-port", "0"], "1 to 65535"),
        (
            &["install", "transparent-proxy", "--kuma-dp-user", "1", "--exclude-inbound-ports", "ssh"],
            "ssh is not a port",
        ),
        (&["config", "control-planes", "switch"], "--name"),
        (&["completion", "tcsh"], "tcsh"),
    ] {
        kumactl.run(arguments).await.expect_error(2, &[part]);
    }
}

#[tokio::test]
async fn a_group_without_a_command_shows_its_help() {
    let kumactl = Kumactl::new();
    for group in [
        &[][..],
        &["get"],
        &["inspect"],
        &["generate"],
        &["revoke"],
        &["rotate"],
        &["install"],
        &["config"],
        &["config", "control-planes"],
    ] {
        let alone = kumactl.run(group).await;
        assert_eq!((alone.status, alone.stderr.as_str()), (0, ""), "{group:?}");
        assert!(alone.stdout.contains("Usage: kumactl"), "{alone:?}");
        assert_eq!(kumactl.run(&[group, &["--help"]].concat()).await.status, 0, "{group:?}");
    }
}

#[tokio::test]
async fn version_is_one_word_or_four_lines() {
    let kumactl = Kumactl::new();
    let version = env!("CARGO_PKG_VERSION");
    for short in [&["version"][..], &["version", "--detailed=false"]] {
        kumactl.run(short).await.expect(0, &format!("{version}\n"), "");
    }
    for detailed in [&["version", "-a"][..], &["version", "--detailed"]] {
        let ran = kumactl.run(detailed).await;
        let lines: Vec<_> = ran.stdout.lines().collect();
        assert_eq!(lines[0], format!("Version:    {version}"));
        let titles: Vec<_> = lines[1..].iter().map(|line| &line[..12]).collect();
        assert_eq!(titles, ["Git Tag:    ", "Git Commit: ", "Build Date: "]);
    }
}

#[tokio::test]
async fn completions_know_the_kinds_the_commands_and_the_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = Kumactl::new().run(&["completion", shell]).await;
        assert!(ran.status == 0, "{shell}");
        for word in [
            "traffic-routes",
            "revoke",
            "token-key",
            "full",
            "mesh-ca",
            "certificate-authorities",
            "exclude-outbound-ips",
        ] {
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
    }
}

#[tokio::test]
async fn the_log_goes_to_standard_error_and_has_no_password() {
    let api = FakeApi::start(&[("GET /meshes", 200, r#"{"items":[]}"#)]).await;
    let kumactl = Kumactl::with(&api.address.replace("http://", "http://me:secret@"));
    let ran = kumactl.run(&["--log-level", "debug", "get", "meshes"]).await;
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "NAME   mTLS\n"));
    assert!(
        ran.stderr.contains("/meshes") && ran.stderr.contains("200") && !ran.stderr.contains("secret"),
        "{ran:?}"
    );
}
