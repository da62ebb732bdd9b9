//! `get`, `inspect` and `delete`.

use std::process::Stdio;

use clap::Parser;

use crate::{fake_api::FakeApi, program::Kumactl};

const MESHES: &str = r#"{"items":[
    {"type":"Mesh","name":"a","future":1},
    {"type":"Mesh","name":"long-name","mtls":{"enabled":true,"ca":{"builtin":{}}}}],"total":2}"#;

#[tokio::test]
async fn a_list_is_shown_in_three_formats() {
    let api = FakeApi::start(&[("GET /meshes", 200, MESHES)]).await;
    let kumactl = Kumactl::with(&api.address);
    kumactl.run(&["get", "meshes"]).await.expect(
        0,
        "NAME        mTLS\na           off\nlong-name   on\n",
        "",
    );
    let yaml = "\
items:
- future: 1
  name: a
  type: Mesh
- mtls:
    ca:
      builtin: {}
    enabled: true
  name: long-name
  type: Mesh
";
    kumactl.run(&["get", "meshes", "-o", "yaml"]).await.expect(0, yaml, "");
    let json = kumactl.run(&["get", "meshes", "--output=json"]).await;
    assert!(
        json.stdout.starts_with("{\n  \"items\": [\n    {\n      \"future\": 1,\n      \"name\": \"a\","),
        "{json:?}"
    );
    assert_eq!(api.asked()[0].accept.as_deref(), Some("application/json"));
}

#[tokio::test]
async fn every_kind_of_the_table_has_its_command() {
    let api = FakeApi::start(&[]).await;
    let kumactl = Kumactl::with(&format!("{}/", api.address));
    for kind in model::Kind::ALL {
        kumactl.run(&["get", kind.path(), "--mesh", "demo"]).await.expect_error(1, &["Not found"]);
    }
    let expected = model::Kind::ALL.iter().map(|kind| match kind.scope() {
        model::Scope::Global => format!("GET /{}", kind.path()),
        model::Scope::Mesh => format!("GET /meshes/demo/{}", kind.path()),
    });
    assert_eq!(api.requests(), expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn the_mesh_is_that_of_the_flag_or_of_the_context_or_default() {
    let api = FakeApi::start(&[]).await;
    let in_pilot = Kumactl::with(&api.address);
    in_pilot.run(&["get", "dataplanes", "--mesh", "demo"]).await;
    in_pilot.run(&["--mesh", "demo", "get", "dataplanes"]).await;
    in_pilot.run(&["get", "dataplanes", "--mesh="]).await;
    let without = Kumactl::new();
    without.write("c.yaml", &in_pilot.config().replace(", defaults: {mesh: pilot}", ""));
    without.run(&["get", "dataplanes", "--config-file", "c.yaml"]).await;
    assert_eq!(
        api.requests(),
        ["demo", "demo", "pilot", "default"].map(|mesh| format!("GET /meshes/{mesh}/dataplanes"))
    );
}

#[tokio::test]
async fn a_failed_list_says_what_was_listed_unless_the_control_plane_says_it() {
    for (answer, expected) in [
        ((502, "bad gateway"), "Error: failed to list TrafficRoutes: (502): bad gateway\n"),
        (
            (500, r#"{"title":"Could not list","details":"Internal Server Error"}"#),
            "Error: Could not list (Internal Server Error)\n",
        ),
    ] {
        let api = FakeApi::start(&[("GET /meshes/m/traffic-routes", answer.0, answer.1)]).await;
        Kumactl::with(&api.address).run(&["get", "traffic-routes", "--mesh=m"]).await.expect(1, "", expected);
    }
    let away = Kumactl::with("http://127.0.0.1:1/cp");
    away.run(&["get", "meshes"]).await.expect(
        1,
        "",
        "Error: failed to list Meshes: GET http://127.0.0.1:1/cp/meshes: Connection refused\n",
    );
    away.run(&["inspect", "dataplanes"])
        .await
        .expect_error(1, &["Error: GET http://127.0.0.1:1/cp/meshes/pilot/dataplanes+insights"]);
}

#[tokio::test]
async fn an_answer_that_is_no_list_is_an_error() {
    let api = FakeApi::start(&[("GET /meshes", 200, "<html>")]).await;
    Kumactl::with(&api.address)
        .run(&["get", "meshes"])
        .await
        .expect_error(1, &["failed to list Meshes: ", &api.address]);
}

#[tokio::test]
async fn inspect_asks_for_tags_and_shows_the_state() {
    let overviews = r#"{"items":[{"mesh":"demo","name":"web-1","status":"fine",
        "dataplane":{"networking":{"inbound":[{"tags":{"service":"web"}}]}},
        "dataplaneInsight":{"subscriptions":[
            {"connectTime":"2020-01-01T00:00:00Z","disconnectTime":"2020-01-01T01:00:00Z","status":{"total":{"responsesSent":"3"}}}]}}]}"#;
    let api = FakeApi::start(&[("GET /meshes/demo/dataplanes+insights", 200, overviews)]).await;
    let kumactl = Kumactl::with(&api.address);
    let ran = kumactl
        .run(&["inspect", "dataplanes", "--mesh", "demo", "--tag", "service=web,version=1", "--tag", "a=b c"])
        .await;
    assert_eq!(
        api.requests(),
        ["GET /meshes/demo/dataplanes+insights?tag=service%3Aweb&tag=version%3A1&tag=a%3Ab+c"]
    );
    let words: Vec<_> = ran.stdout.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        (words.len(), &words[..4], &words[5..]),
        (8, &["demo", "web-1", "service=web", "Offline"][..], &["never", "3", "0"][..])
    );
    assert!(words[4].ends_with('s') && words[4].contains('h'), "{ran:?}");
}

#[tokio::test]
async fn a_delete_asks_whether_it_is_there_first() {
    let api = FakeApi::start(&[
        ("GET /meshes/demo/dataplanes/web-1", 200, "{}"),
        ("DELETE /meshes/demo/dataplanes/web-1", 200, ""),
        ("GET /meshes/demo", 200, "{}"),
        ("DELETE /meshes/demo", 405, "read-only"),
    ])
    .await;
    let kumactl = Kumactl::with(&api.address);
    let delete = |kind, name| {
        let kumactl = &kumactl;
        async move { kumactl.run(&["delete", kind, name, "--mesh", "demo"]).await }
    };
    delete("dataplane", "web-1").await.expect(0, "", "deleted Dataplane \"web-1\"\n");
    delete("dataplanes", "web-2").await.expect(1, "", "Error: there is no Dataplane with name \"web-2\"\n");
    delete("mesh", "demo").await.expect(
        1,
        "",
        "Error: failed to delete Mesh with the name \"demo\": (405): read-only\n",
    );
    delete("traffic-route", "..").await.expect_error(1, &["\"..\" cannot be a name"]);
    assert_eq!(
        api.requests(),
        [
            "GET /meshes/demo/dataplanes/web-1",
            "DELETE /meshes/demo/dataplanes/web-1",
            "GET /meshes/demo/dataplanes/web-2",
            "GET /meshes/demo",
            "DELETE /meshes/demo",
        ]
    );
}

#[tokio::test]
async fn nobody_listening_is_no_error() {
    let api = FakeApi::start(&[("GET /meshes", 200, MESHES)]).await;
    let kumactl = Kumactl::with(&api.address);
    let mut child =
        kumactl.command(&["get", "meshes"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[tokio::test]
async fn a_person_is_asked_before_a_mesh_goes() {
    for (answer, arguments, deleted) in [
        ("\n", &["kumactl", "delete", "mesh", "demo"][..], false),
        ("no\n", &["kumactl", "delete", "mesh", "demo"], false),
        ("y\n", &["kumactl", "delete", "mesh", "demo"], true),
        ("", &["kumactl", "delete", "mesh", "demo", "--yes"], true),
        ("", &["kumactl", "delete", "dataplane", "web-1"], true),
    ] {
        let api = FakeApi::start(&[
            ("GET /meshes/demo", 200, "{}"),
            ("DELETE /meshes/demo", 200, ""),
            ("GET /meshes/pilot/dataplanes/web-1", 200, "{}"),
            ("DELETE /meshes/pilot/dataplanes/web-1", 200, ""),
        ])
        .await;
        let home = Kumactl::with(&api.address);
        let (mut stdin, mut stdout, mut stderr) = (answer.as_bytes(), Vec::new(), Vec::new());
        let mut surroundings = ctl::Surroundings {
            now: model::Timestamp::default(),
            home: Some(home.path("")),
            stdin: &mut stdin,
            is_interactive: true,
            is_watched: false,
            stdout: &mut stdout,
            stderr: &mut stderr,
        };
        let ran = ctl::run(ctl::Cli::parse_from(arguments), &mut surroundings).await;
        assert_eq!(ran.is_ok(), deleted, "{answer:?} {arguments:?} {ran:?}");
        let asked =
            String::from_utf8(stderr).unwrap().contains("with all its dataplanes and policies? [y/N]");
        assert_eq!(asked, !answer.is_empty());
        assert_eq!(api.requests().iter().any(|request| request.starts_with("DELETE ")), deleted);
    }
}
