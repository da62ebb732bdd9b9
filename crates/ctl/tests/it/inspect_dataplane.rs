use crate::{fake_api::FakeApi, program::Kumactl};

/// Ages would change while the test runs: nothing was acknowledged, and the stream has no time.
const REJECTED: &str = r#"{
    "type": "DataplaneInspection", "mesh": "demo", "name": "web", "revision": "0000abcd-7", "online": true,
    "streams": [{"id": "1", "protocol": "delta"}],
    "certificate": {"services": ["api", "web"], "notAfter": "2026-01-15T00:00:00Z", "renewAt": "2026-01-10T08:00:00Z",
                    "ca": "0011223344556677", "fingerprint": "0011223344556677"},
    "resources": [
        {
            "type": "Cluster", "typeUrl": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "backend",
            "version": "0123456789abcdef", "state": "notSent",
            "sources": [{"type": "Dataplane", "mesh": "demo", "name": "web", "revision": "0000abcd-2"},
                        {"type": "TrafficRoute", "mesh": "demo", "name": "split", "revision": "0000abcd-5"}]
        },
        {
            "type": "Listener", "typeUrl": "type.googleapis.com/envoy.config.listener.v3.Listener",
            "name": "outbound:127.0.0.1:9000", "version": "fedcba9876543210", "state": "rejected",
            "error": "cannot bind '127.0.0.1:9000': Address already in use",
            "sources": [{"type": "Dataplane", "mesh": "demo", "name": "web", "revision": "0000abcd-2"}]
        },
        {
            "type": "Listener", "typeUrl": "type.googleapis.com/envoy.config.listener.v3.Listener",
            "name": "outbound:127.0.0.1:9001", "state": "removing", "sources": []
        }
    ],
    "warnings": ["cluster backend: no dataplane of the mesh carries service=backend"]
}"#;

#[tokio::test]
async fn a_proxy_is_shown_with_what_was_rejected_and_why() {
    let api = FakeApi::start(&[("GET /meshes/demo/dataplanes/web/xds", 200, REJECTED)]).await;
    let kumactl = Kumactl::with(&api.address);
    let expected = "\
MESH   NAME   STATUS   CONNECTED AGO   REVISION
demo   web    Online   -               0000abcd-7

Its certificate names api, web, ends at 2026-01-15T00:00:00Z and is renewed at 2026-01-10T08:00:00Z; CA 0011223344556677 has signed it.

TYPE       NAME                      STATE      VERSION            ACKNOWLEDGED   AGO   SOURCES
Cluster    backend                   not sent   0123456789abcdef   -              -     Dataplane web, TrafficRoute split
Listener   outbound:127.0.0.1:9000   rejected   fedcba9876543210   -              -     Dataplane web
Listener   outbound:127.0.0.1:9001   removing   -                  -              -     -

Envoy has rejected Listener outbound:127.0.0.1:9000, and has no version of it:
  cannot bind '127.0.0.1:9000': Address already in use
  It comes from Dataplane web (revision 0000abcd-2).
Free the address that Envoy names, or change the resource and apply it. What was rejected is offered again by itself.

Warning: cluster backend: no dataplane of the mesh carries service=backend
";
    kumactl.run(&["inspect", "dataplane", "web", "--mesh", "demo"]).await.expect(0, expected, "");
}

#[tokio::test]
async fn programs_get_the_answer_of_the_control_plane() {
    let api =
        FakeApi::start(&[("GET /meshes/pilot/dataplanes/web/xds", 200, r#"{"news":1,"name":"web"}"#)]).await;
    let kumactl = Kumactl::with(&api.address);
    let inspect = |arguments: &'static [&'static str]| {
        let kumactl = &kumactl;
        async move { kumactl.run(&[&["inspect", "dataplane", "web"], arguments].concat()).await }
    };
    inspect(&["-o", "yaml"]).await.expect(0, "name: web\nnews: 1\n", "");
    inspect(&["-o", "json", "--full"]).await.expect(0, "{\n  \"name\": \"web\",\n  \"news\": 1\n}\n", "");
    inspect(&["--full"]).await.expect_error(2, &["add -o yaml or -o json"]);
    let path = "GET /meshes/pilot/dataplanes/web/xds";
    assert_eq!(api.requests(), [path.to_owned(), format!("{path}?full=true")]);
}

#[tokio::test]
async fn a_dataplane_that_is_not_there_and_a_control_plane_that_cannot_are_told_apart() {
    let api = FakeApi::start(&[
        ("GET /meshes/pilot/dataplanes/old/xds", 404, "404 page not found"),
        ("GET /meshes/pilot/dataplanes/broken/xds", 200, "<html>"),
        ("GET /meshes/pilot/dataplanes/down/xds", 502, "bad gateway"),
    ])
    .await;
    let kumactl = Kumactl::with(&api.address);
    let inspect = |name: &'static str| {
        let kumactl = &kumactl;
        async move { kumactl.run(&["inspect", "dataplane", name]).await }
    };
    inspect("nobody").await.expect(
        1,
        "",
        "Error: there is no Dataplane with name \"nobody\" in mesh \"pilot\"; `kumactl get dataplanes --mesh pilot` lists \
         those that are there\n",
    );
    inspect("old")
        .await
        .expect_error(1, &["nothing can be inspected at ", "/xds", "use a newer control plane"]);
    inspect("broken")
        .await
        .expect_error(1, &["failed to inspect Dataplane \"broken\": ", "is not what a control plane says"]);
    inspect("down").await.expect(1, "", "Error: failed to inspect Dataplane \"down\": (502): bad gateway\n");
    inspect("..").await.expect_error(1, &["\"..\" cannot be a name"]);
}
