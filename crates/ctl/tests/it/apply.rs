use serde_json::{Value, json};

use crate::{fake_api::FakeApi, program::Kumactl};

const MESH: &str = "type: Mesh\nname: demo\n";

const EMPTY: &str = "";

const DATAPLANE: &str = "\
type: Dataplane
mesh: demo
name: web-1
networking:
  inbound:
  - interface: 127.0.0.1:9080:8080
    tags: {service: web}
";

fn mesh_and_dataplane() -> String {
    format!("{MESH}---\n{DATAPLANE}")
}

fn dataplane() -> Value {
    json!({
        "type": "Dataplane", "mesh": "demo", "name": "web-1",
        "networking": {"inbound": [{"interface": "127.0.0.1:9080:8080", "tags": {"service": "web"}}]},
    })
}

#[tokio::test]
async fn a_resource_is_asked_for_and_then_put_whole() {
    let api = FakeApi::start(&[("PUT /meshes/demo/dataplanes/web-1", 201, EMPTY)]).await;
    let kumactl = Kumactl::with(&api.address);
    kumactl.write("web.yaml", DATAPLANE);
    kumactl.run(&["apply", "-f", "web.yaml", "--mesh", "other"]).await.expect(0, "", "");

    assert_eq!(api.requests(), ["GET /meshes/demo/dataplanes/web-1", "PUT /meshes/demo/dataplanes/web-1"]);
    let put = &api.asked()[1];
    assert_eq!(put.content_type.as_deref(), Some("application/json"));
    assert_eq!(put.accept.as_deref(), Some("application/json"));
    assert!(!put.body.contains('\n'));
    assert_eq!(serde_json::from_str::<Value>(&put.body).unwrap(), dataplane());
}

#[tokio::test]
async fn several_resources_are_one_transaction_in_the_order_of_the_file() {
    let done = r#"{"revision":"0000abcd-1","results":["created","created"]}"#;
    let api = FakeApi::start(&[("POST /transactions", 200, done)]).await;
    Kumactl::with(&api.address).run_with(&["apply"], &mesh_and_dataplane()).await.expect(0, "", "");
    assert_eq!(api.requests(), ["POST /transactions"]);
    let asked = &api.asked()[0];
    assert_eq!(asked.content_type.as_deref(), Some("application/json"));
    let expected = json!({"operations": [
        {"op": "put", "resource": {"type": "Mesh", "name": "demo"}},
        {"op": "put", "resource": dataplane()},
    ]});
    assert_eq!(serde_json::from_str::<Value>(&asked.body).unwrap(), expected);
}

#[tokio::test]
async fn what_is_refused_of_several_is_named_by_its_document() {
    let refused = r#"{"title":"Could not process the transaction","details":"Transaction is not valid","causes":[
        {"field":"operations[1].resource.networking.inbound","message":"is odd"},{"field":"x","message":"y"}]}"#;
    let api = FakeApi::start(&[("POST /transactions", 400, refused)]).await;
    Kumactl::with(&api.address).run_with(&["apply"], &mesh_and_dataplane()).await.expect(
        1,
        "",
        "\
Error: Could not process the transaction (Transaction is not valid)
* document 2 (Dataplane web-1): networking.inbound: is odd
* x: y
",
    );
}

#[tokio::test]
async fn a_control_plane_without_transactions_is_sent_nothing_else() {
    let api = FakeApi::start(&[("POST /transactions", 404, "404 page not found")]).await;
    let ran = Kumactl::with(&api.address).run_with(&["apply"], &mesh_and_dataplane()).await;
    ran.expect_error(1, &["there are no transactions at", "/transactions", "apply each document alone"]);
    assert_eq!(api.requests(), ["POST /transactions"]);
}

#[tokio::test]
async fn nothing_is_sent_when_one_document_is_wrong() {
    let api = FakeApi::start(&[]).await;
    let kumactl = Kumactl::with(&api.address);
    for (document, parts) in [
        ("type: Mesh\n", ["document 3: ", "Name field cannot be empty"]),
        ("type: Mesh\nname: a\nmtlz: {}\n", ["document 3: ", "unknown field `mtlz`"]),
        ("type: Mesh: a\n", ["line 12", "column"]),
    ] {
        let ran = kumactl.run_with(&["apply"], &format!("{}---\n{document}", mesh_and_dataplane())).await;
        ran.expect_error(1, &[&["YAML contains invalid resource: "], &parts[..]].concat());
    }
    assert!(api.asked().is_empty());
}

#[tokio::test]
async fn what_is_refused_is_said_with_every_cause() {
    let refused = r#"{"title":"Could not create a resource","details":"Resource is not valid","causes":[
        {"field":"logging.backends[0].name","message":"cannot be empty"},{"field":"name","message":"is odd"}]}"#;
    let api = FakeApi::start(&[("PUT /meshes/demo", 400, refused)]).await;
    Kumactl::with(&api.address).run_with(&["apply"], MESH).await.expect(
        1,
        "",
        "\
Error: Could not create a resource (Resource is not valid)
* logging.backends[0].name: cannot be empty
* name: is odd
",
    );
    assert_eq!(api.requests(), ["GET /meshes/demo", "PUT /meshes/demo"]);
}

#[tokio::test]
async fn nothing_is_put_to_what_does_not_answer_as_a_control_plane() {
    for (status, body, expected) in [
        (404, "404 page not found", "Error: (404): 404 page not found\n"),
        (500, "boom\n", "Error: (500): boom\n"),
        (503, r#"{"title":"Down","details":"for today"}"#, "Error: Down (for today)\n"),
    ] {
        let api = FakeApi::start(&[("GET /meshes/demo", status, body)]).await;
        Kumactl::with(&api.address).run_with(&["apply", "-f", "-"], MESH).await.expect(1, "", expected);
        assert_eq!(api.requests(), ["GET /meshes/demo"]);
    }
}

#[tokio::test]
async fn variables_are_replaced_also_in_what_is_downloaded() {
    let template = "type: Mesh\nname: {{name}}\n{{! tracing comes later }}\n";
    let api = FakeApi::start(&[("GET /mesh.yaml", 200, template), ("PUT /meshes/a-1", 201, EMPTY)]).await;
    let kumactl = Kumactl::with(&api.address);
    let url = format!("{}/mesh.yaml?x=1", api.address);
    kumactl.run(&["apply", "-f", &url, "-v", "name=a-1,other=b"]).await.expect(0, "", "");
    assert_eq!(api.requests(), ["GET /mesh.yaml?x=1", "GET /meshes/a-1", "PUT /meshes/a-1"]);

    kumactl.run(&["apply", "-f", &url]).await.expect_error(1, &["Name field cannot be empty"]);
    let unclosed = kumactl.run_with(&["apply"], "type: Mesh\nname: {{name\n").await;
    unclosed.expect_error(1, &["error while replacing variables: line 2: a tag is not closed"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_named_with_the_reason() {
    let api = FakeApi::start(&[("GET /broken.yaml", 500, "type: Mesh\nname: a\n")]).await;
    let kumactl = Kumactl::with(&api.address);
    std::fs::write(kumactl.path("latin1.yaml"), b"type: Mesh\nname: gr\xf6\xdfe\n").unwrap();
    let broken = format!("{}/broken.yaml", api.address);
    for (file, parts) in [
        ("none.yaml", &["error while reading provided file: open none.yaml: No such file or directory"][..]),
        (".", &["error while reading provided file: open .: Is a directory"]),
        ("latin1.yaml", &["latin1.yaml is not UTF-8 text"]),
        (
            "http://127.0.0.1:1/a.yaml",
            &["error with GET http request: GET http://127.0.0.1:1/a.yaml: Connection refused"],
        ),
        (&broken, &["error with GET http request: ", &broken, "500"]),
    ] {
        kumactl.run(&["apply", "-f", file]).await.expect_error(1, parts);
    }
    assert_eq!(api.requests(), ["GET /broken.yaml"]);
}

#[tokio::test]
async fn a_put_that_is_sent_elsewhere_is_no_success() {
    let api = FakeApi::start(&[
        ("GET /meshes/demo", 200, r#"{"type":"Mesh","name":"demo"}"#),
        ("PUT /meshes/demo", 302, "moved"),
        ("GET /", 200, EMPTY),
    ])
    .await;
    let ran = Kumactl::with(&api.address).run_with(&["apply"], MESH).await;
    ran.expect(1, "", "Error: (302): moved\n");
}
