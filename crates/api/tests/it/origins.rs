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
async fn pages_of_a_configured_origin_may_use_the_api_and_no_others() {
    let policy = api::CorsPolicy::new(&[r"https://[a-z]+\.example".to_owned()]).expect("a good pattern");
    let store = std::sync::Arc::new(store::MemoryStore::new(1));
    let server = Server::start_with(store, |api| api.cors = policy).await;
    let (gui, evil) = ("https://gui.example", "https://gui.example.evil.org");
    let preflight = |origin: &str| {
        [("origin", origin), ("access-control-request-method", "PUT")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };

    let reply = ask(server.address, "OPTIONS /meshes/demo", &preflight(gui), None).await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    for (header, expected) in [
        ("access-control-allow-origin", gui),
        ("access-control-allow-methods", "GET, HEAD, PUT, DELETE"),
        ("vary", "origin"),
    ] {
        assert_eq!(reply.header(header), Some(expected), "{header}");
    }
    assert!(reply.header("access-control-allow-headers").is_some_and(|it| it.contains("content-type")));
    let reply = ask(server.address, "OPTIONS /meshes/demo", &preflight(evil), None).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (403, None));
    // What is no preflight is a method as any other.
    let reply = ask(server.address, "OPTIONS /meshes/demo", &[], None).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD, PUT, DELETE")));

    let from = |origin: &str| {
        vec![("origin".to_owned(), origin.to_owned()), ("sec-fetch-site".to_owned(), "cross-site".to_owned())]
    };
    let written = ask(server.address, "PUT /meshes/demo", &from(gui), Some(MESH)).await;
    assert_eq!((written.status, written.header("access-control-allow-origin")), (201, Some(gui)));
    // A page can read an error, too.
    let missing = ask(server.address, "GET /meshes/none", &from(gui), None).await;
    assert_eq!((missing.status, missing.header("access-control-allow-origin")), (404, Some(gui)));
    let read = ask(server.address, "GET /meshes/demo", &from(gui), None).await;
    assert_eq!(read.header("vary"), Some("accept, origin"));
    assert!(read.header("access-control-expose-headers").is_some_and(|it| it.contains("etag")));

    assert_eq!(status(&server, "PUT /meshes/demo", &[("origin", evil)], Some(MESH)).await, 403);
    assert_eq!(status(&server, "GET /meshes/demo", &[("origin", evil)], None).await, 200);
    // What gives out secrets is for no page of another origin.
    let token = Some(r#"{"name":"a","mesh":"b"}"#);
    assert_eq!(status(&server, "POST /tokens", &[("origin", gui)], token).await, 403);
}

#[tokio::test]
async fn a_control_plane_that_is_read_only_says_why() {
    let why = "Resources are changed elsewhere.";
    let store = std::sync::Arc::new(store::MemoryStore::new(1));
    let server = Server::start_with(store, |api| api.read_only = Some(why.to_owned())).await;
    let reply = crate::client::put(server.address, "/meshes/demo", MESH).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(reply.json()["details"], why);
    let reply = crate::client::post(server.address, "/transactions", r#"{"operations":[]}"#).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("")));
    assert_eq!(reply.json()["details"], why);
    assert_eq!(status(&server, "GET /meshes", &[], None).await, 200);
    assert_eq!(status(&server, "POST /tokens", &[], Some(r#"{"name":"a","mesh":"b"}"#)).await, 200);
}
