use std::{fs, os::unix::fs::PermissionsExt};

use crate::{fake_api::FakeApi, program::Kumactl};

const INDEX: &str = r#"{"tagline":"Kuma","version":"0.3.0"}"#;

const FIRST: &str = "\
contexts:
- controlPlane: local
  name: local
controlPlanes:
- coordinates:
    apiServer:
      url: http://localhost:5681
  name: local
currentContext: local
";

#[tokio::test]
async fn the_first_use_makes_a_configuration() {
    let kumactl = Kumactl::new();
    let list = "ACTIVE   NAME    ADDRESS\n*        local   http://localhost:5681\n";
    kumactl.run(&["config", "control-planes", "list"]).await.expect(0, list, "");
    assert_eq!(kumactl.config(), FIRST);
    assert_eq!(fs::metadata(kumactl.path(".kumactl/config")).unwrap().permissions().mode() & 0o777, 0o600);
    kumactl.run(&["config", "view"]).await.expect(0, &format!("{FIRST}\n"), "");
}

#[tokio::test]
async fn help_and_completions_make_none() {
    let kumactl = Kumactl::new();
    for arguments in [&["help"][..], &["get", "--help"], &["completion", "bash"]] {
        assert_eq!(kumactl.run(arguments).await.status, 0);
    }
    assert!(!kumactl.path(".kumactl").exists());
}

#[tokio::test]
async fn a_control_plane_is_added_switched_to_and_removed() {
    let api = FakeApi::start(&[("GET /", 200, INDEX)]).await;
    let kumactl = Kumactl::new();
    let add = ["config", "control-planes", "add", "--name", "east", "--address", &api.address];
    let added = "added Control Plane \"east\"\nswitched active Control Plane to \"east\"\n";
    kumactl.run(&add).await.expect(0, "", added);
    kumactl.run(&add).await.expect(1, "", "Error: Control Plane with name \"east\" already exists\n");
    kumactl.run(&[&add[..], &["--overwrite"]].concat()).await.expect(0, "", added);
    assert!(
        kumactl
            .config()
            .contains("- controlPlane: east\n  credentials:\n    dataplaneTokenApi: {}\n  name: east\n")
    );

    let control_planes = |command, name| {
        let kumactl = &kumactl;
        async move { kumactl.run(&["config", "control-planes", command, "--name", name]).await }
    };
    control_planes("switch", "local").await.expect(0, "", "switched active Control Plane to \"local\"\n");
    control_planes("switch", "west").await.expect(
        1,
        "",
        "Error: there is no Control Plane with name \"west\"\n",
    );
    control_planes("remove", "east").await.expect(
        0,
        "",
        "removed Control Plane \"east\"\nswitched active Control Plane to \"local\"\n",
    );
    assert_eq!(kumactl.config(), FIRST);
    control_planes("remove", "west").await.expect(
        1,
        "",
        "Error: there is no Control Plane with name \"west\"\n",
    );
    control_planes("remove", "local").await.expect(
        0,
        "",
        "removed Control Plane \"local\"\nthere is no active Control Plane left. Use `kumactl config control-planes add` \
         to add a Control Plane and make it active\n",
    );
    kumactl.run(&["get", "meshes"]).await.expect_error(1, &["active Control Plane is not set. Use `kumactl"]);
}

#[tokio::test]
async fn what_is_no_control_plane_is_not_added() {
    for (status, body, expected) in [
        (503, INDEX, "Error: Control Plane API Server is not responding"),
        (
            200,
            "<html>",
            "Error: could not unmarshal body from the Control Plane API Server. Provided address is not valid Kuma Control Plane API Server: ",
        ),
        (200, r#"{"tagline":"Nomad"}"#, "Error: provided address is not valid Kuma Control Plane API Server"),
        (200, "{}", "Error: provided address is not valid Kuma Control Plane API Server"),
    ] {
        let api = FakeApi::start(&[("GET /", status, body)]).await;
        let kumactl = Kumactl::new();
        let ran = kumactl
            .run(&["config", "control-planes", "add", "--name", "local", "--address", &api.address])
            .await;
        ran.expect_error(1, &[expected]);
        assert_eq!(kumactl.config(), FIRST);
    }
    let kumactl = Kumactl::new();
    let add = |name, address| {
        let kumactl = &kumactl;
        async move {
            kumactl.run(&["config", "control-planes", "add", "--name", name, "--address", address]).await
        }
    };
    add("x", "http://127.0.0.1:1").await.expect_error(
        1,
        &["could not connect to the Control Plane API Server: GET http://127.0.0.1:1/: Connection refused"],
    );
    for (name, address) in
        [("", "http://127.0.0.1:1"), ("x", "not-a-url"), ("x", "localhost:5681"), ("x", "ftp://a")]
    {
        add(name, address).await.expect_error(2, &["Control Plane configuration is not valid: "]);
    }
    assert_eq!(kumactl.config(), FIRST);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_named() {
    let kumactl = Kumactl::new();
    kumactl.write("no-yaml", "a: b: c");
    kumactl.write("invalid", "contexts: [{name: x}]");
    kumactl.write("broken", "currentContext: gone");
    for (file, expected) in [
        ("absent", "Error: Failed to access configuration file \"absent\""),
        ("no-yaml", "Error: Failed to parse configuration from file \"no-yaml\": "),
        (
            "invalid",
            "Error: Failed to load invalid configuration from file \"invalid\": contexts[0].controlPlane cannot be empty",
        ),
        ("broken", "Error: apparently, configuration is broken. Use `kumactl config control-planes add`"),
    ] {
        kumactl.run(&["get", "meshes", "--config-file", file]).await.expect_error(1, &[expected]);
    }
    assert!(!kumactl.path("absent").exists());
}
