//! What a web page may make a browser do.

use crate::{client::ask, server::Server};

const MESH: &str = r#"{"type":"Mesh","name":"demo"}"#;

async fn status(server: &Server, request: &str, headers: &[(&str, &str)], body: Option<&str>) -> u16 {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let reply = ask(server.address, request, &headers, body).await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
    if reply.status >= 400 {
        assert!(reply.json()["title"].is_string(), "{}", reply.body);
    }
    reply.status
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_not_answered() {
    let server = Server::start().await;
    for (host, expected) in
        [("localhost", 200), ("[::1]:80", 200), ("cp.example", 200), ("evil.example", 421), ("", 400)]
    {
        assert_eq!(status(&server, "GET /meshes", &[("host", host)], None).await, expected, "{host}");
    }
    assert_eq!(status(&server, "PUT /meshes/demo", &[("host", "evil.example")], Some(MESH)).await, 421);
    assert_eq!(status(&server, "GET /meshes/demo", &[], None).await, 404);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let server = Server::start().await;
    for foreign in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
    {
        let token = Some(r#"{"name":"a","mesh":"b"}"#);
        assert_eq!(status(&server, "PUT /meshes/demo", &[foreign], Some(MESH)).await, 403, "{foreign:?}");
        assert_eq!(status(&server, "DELETE /meshes/demo", &[foreign], None).await, 403, "{foreign:?}");
        assert_eq!(status(&server, "POST /tokens", &[foreign], token).await, 403, "{foreign:?}");
        assert_eq!(status(&server, "GET /meshes", &[foreign], None).await, 200, "{foreign:?}");
    }
    let own =
        [("origin", "http://localhost:8080"), ("host", "localhost:8080"), ("sec-fetch-site", "same-origin")];
    assert_eq!(status(&server, "PUT /meshes/demo", &own, Some(MESH)).await, 201);
}

#[tokio::test]
async fn a_control_plane_that_is_read_only_says_why() {
    let why = "Resources are changed elsewhere.";
    let store = std::sync::Arc::new(store::MemoryStore::new(1));
    let server = Server::start_with(store, |api| api.read_only = Some(why.to_owned())).await;
    let reply = crate::client::put(server.address, "/meshes/demo", MESH).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(reply.json()["details"], why);
    assert_eq!(status(&server, "GET /meshes", &[], None).await, 200);
    assert_eq!(status(&server, "POST /tokens", &[], Some(r#"{"name":"a","mesh":"b"}"#)).await, 200);
}
