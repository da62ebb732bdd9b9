//! Every refusal is one sentence with what is wrong and what to do next; the status says whose mistake it is.

use std::fs;

use serde_json::json;

use crate::fake_control_plane::{Ca, FakeControlPlane, HTML, always};
use crate::kuma_dp::{FAKE_ENVOY, Home, Running, end_of, now, token};

/// Status 1 and a last line that begins with `Error: ` and has all the parts.
fn assert_refused((status, stderr): &(Option<i32>, String), parts: &[&str]) {
    assert_eq!(*status, Some(1), "{stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("Error: "), "{stderr}");
    for part in parts {
        assert_eq!(last.matches(part).count(), 1, "`{part}` once in: {last}");
    }
}

#[tokio::test]
async fn wrong_use_ends_with_2_before_anything_is_done() {
    let home = Home::new("pin");
    for (arguments, reason) in [
        (&["nonsense"][..], "unrecognized subcommand"),
        (&["run"], "--name"),
        (&["run", "--name", "web-1"], "kumactl generate dataplane-token --name web-1 --mesh default"),
        (&["run", "--name", "web-1", "--colour"], "--colour"),
        (&["run", "--name", "../web"], "valid characters"),
        (&["run", "--name", "web-1", "--mesh", ""], "empty"),
        (&["run", "--name", "web-1", "--admin-port", "70000"], "--admin-port"),
        (&["run", "--name", "web-1", "--metrics-port", "70000"], "--metrics-port"),
        (&["run", "--name", "web-1", "--drain-time", "30"], "30s, 1m30s"),
        (
            &["run", "--name", "web-1", "--cp-address", "http://cp.test:5681"],
            "use https, if cp.test serves it",
        ),
    ] {
        let mut command = home.kuma_dp();
        command.args(arguments);
        let (status, stderr) = end_of(command).await;
        assert_eq!(status, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(reason), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn help_and_version_are_printed_to_stdout() {
    let home = Home::new("pin");
    for (arguments, expected) in [
        (&[][..], "Usage: kuma-dp"),
        (&["--help"], "Example:"),
        (&["run", "--help"], "Example:"),
        (&["version", "--help"], "Example:"),
        (&["completion", "--help"], "Example:"),
        (&["version"], env!("CARGO_PKG_VERSION")),
        (&["version", "-a"], "Git Commit: "),
        (&["completion", "bash"], "complete -F"),
    ] {
        let output = home.kuma_dp().args(arguments).output().await.expect("it runs");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert!(stdout.contains(expected), "{arguments:?}: {stdout}");
    }
}

#[tokio::test]
async fn a_token_file_that_cannot_serve() {
    let home = Home::new("pin");
    let of_another = token(&json!({ "Name": "web-2", "Mesh": "default", "aud": "dataplane", "ca": "pin" }));
    let expired = token(&json!({ "Name": "web-1", "Mesh": "default", "ca": "pin", "exp": now() - 3700 }));
    for (content, reason) in [
        (None, "No such file"),
        (Some(""), "is empty"),
        (Some("not a token"), "not a JWT"),
        (Some(&of_another), "is for dataplane web-2 of mesh default, not for dataplane web-1"),
        (Some(&expired), "expired 1h1m ago"),
    ] {
        match content {
            Some(content) => home.write_token(content),
            None => fs::remove_file(home.path("web-1.token")).expect("it was there"),
        }
        let end = end_of(home.run("http://127.0.0.1:9")).await;
        assert_refused(&end, &[reason, "kumactl generate dataplane-token --name web-1"]);
    }
}

#[tokio::test]
async fn an_envoy_that_will_not_do() {
    let home = Home::new("pin");
    let plain_file = home.path("plain");
    fs::write(&plain_file, "").expect("the folder is ours");
    for (program, version, reason) in [
        ("no-such-envoy", "", "there is no Envoy: no program `no-such-envoy` beside kuma-dp"),
        (plain_file.to_str().expect("it is UTF-8"), "", "chmod +x"),
        ("/bin/echo", "", "is not Envoy"),
        ("/bin/false", "", "cannot be run"),
        (FAKE_ENVOY, "1.29.9", "is Envoy 1.29.9, which is too old"),
    ] {
        let mut command = home.run("http://127.0.0.1:9");
        command.args(["--binary-path", program]).env("FAKE_ENVOY_VERSION", version);
        assert_refused(&end_of(command).await, &[reason, "install Envoy 1.30 or newer", "--binary-path"]);
    }
}

#[tokio::test]
async fn what_the_control_plane_refuses_is_said_in_its_own_words() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let not_found = json!({ "title": "Could not process a resource", "details": "Not found" });
    let invalid = json!({
        "title": "Could not process a resource", "details": "Resource is not valid",
        "causes": [{ "field": "workDir", "message": "must be absolute" }],
    });
    let elsewhere = json!({ "apis": { "bootstrap": { "url": "http://cp.test:5682" } } });
    for (answer, parts) in [
        (
            always("/bootstrap", 404, not_found.to_string()),
            &[
                "knows no dataplane web-1 in mesh default",
                "Not found",
                "register it first: `kumactl apply -f dataplane.yaml`",
                "/meshes/default/dataplanes/web-1 --data @dataplane.json -H'content-type: application/json'`",
            ][..],
        ),
        (
            always("/bootstrap", 400, invalid.to_string()),
            &[
                "POST http://127.0.0.1",
                "400 Bad Request, Could not process a resource (Resource is not valid): workDir: must be absolute",
            ],
        ),
        (always("/bootstrap", 401, ""), &["401 Unauthorized", "kumactl generate dataplane-token"]),
        (always("/bootstrap", 500, HTML), &["500 Internal Server Error"]),
        (always("/bootstrap", 307, ""), &["307 Temporary Redirect"]),
        (always("/bootstrap", 200, HTML), &["not an Envoy bootstrap", "--cp-address"]),
        (always("/bootstrap", 200, "x".repeat(2 << 20)), &["longer than 1048576 bytes"]),
        (always("/catalogue", 200, HTML), &["not a catalogue", "--cp-address"]),
        (always("/catalogue", 404, ""), &["GET http://127.0.0.1", "404 Not Found"]),
        (always("/catalogue", 200, elsewhere.to_string()), &["plain text"]),
        (always("/ca.pem", 200, HTML), &["does not hold a certificate"]),
        (always("/ca.pem", 200, Ca::new().pem()), &["not the one that the token names", "--ca-cert-file"]),
    ] {
        let what = format!("{} {}", answer.path, answer.status);
        let control_plane = FakeControlPlane::http(&ca, Some(answer)).await;
        let end = end_of(home.run(&control_plane.url)).await;
        assert_refused(&end, parts);
        assert!(!home.path("arguments").exists(), "{what}: Envoy was started");
        let token = home.read("web-1.token");
        assert!(!end.1.contains(token.trim()), "{what}: the token is in the log");
    }
}

#[tokio::test]
async fn a_token_that_names_no_ca_needs_a_ca_file() {
    let ca = Ca::new();
    let home = Home::new("");
    home.write_token(&token(&json!({ "Name": "web-1", "Mesh": "default" })));
    let control_plane = FakeControlPlane::http(&ca, None).await;
    let end = end_of(home.run(&control_plane.url)).await;
    assert_refused(&end, &["claim `ca`", "--ca-cert-file"]);
}

#[tokio::test]
async fn nobody_who_is_not_verified_gets_the_token() {
    let (ours, theirs) = (Ca::new(), Ca::new());
    let home = Home::new(&ours.pin());
    let ca_file = home.path("ca.pem");
    fs::write(&ca_file, ours.pem()).expect("the folder is ours");
    let impostor = FakeControlPlane::https(&theirs, "127.0.0.1", &theirs).await;
    // The CA is public: whoever stands between can pass the right one on, but has no certificate from it.
    let relay = FakeControlPlane::https(&theirs, "127.0.0.1", &ours).await;
    let another_host = FakeControlPlane::https(&ours, "cp.test", &ours).await;
    for (control_plane, names_ca_file, reason) in [
        (&impostor, false, "not the one that the token names"),
        (&impostor, true, "cannot be verified"),
        (&relay, false, "cannot be verified"),
        (&another_host, false, "cannot be verified"),
    ] {
        let mut command = home.run(&control_plane.url);
        if names_ca_file {
            command.arg("--ca-cert-file").arg(&ca_file);
        }
        assert_refused(&end_of(command).await, &[reason, "--ca-cert-file"]);
        assert!(control_plane.asked().iter().all(|asked| asked.authorization.is_none()), "{reason}");
    }
}

#[tokio::test]
async fn a_second_kuma_dp_for_the_same_dataplane() {
    let ca = Ca::new();
    let home = Home::new(&ca.pin());
    let control_plane = FakeControlPlane::http(&ca, Some(always("/bootstrap", 503, ""))).await;
    let mut first = Running::start(home.run(&control_plane.url));
    first.line("trying again").await;
    let end = end_of(home.run(&control_plane.url)).await;
    assert_refused(&end, &["another kuma-dp (pid ", "already runs here"]);
}
