//! What other programs get: tokens that hold, bootstraps whose values are values.

use std::time::Duration;

use api::TokenKeys as _;

use crate::{
    client::{post, put},
    server::{Server, now},
};

#[tokio::test]
async fn a_token_is_for_its_dataplane_and_as_long_as_was_asked() {
    let server = Server::start().await;
    for (valid_for, ends) in
        [(r"", None), (r#","validFor":"1h30m""#, Some(5400)), (r#","validFor":null"#, None)]
    {
        let body = format!(r#"{{"name":"web-1","mesh":"demo"{valid_for}}}"#);
        let reply = post(server.address, "/tokens", &body).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/plain")));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let claims = server
            .token_keys
            .keyring()
            .verify_dataplane(&reply.body, now())
            .expect("the keyring knows its own");
        assert_eq!((claims.name.as_str(), claims.mesh.as_str()), ("web-1", "demo"));
        assert_eq!(claims.exp.map(|exp| exp - claims.iat), ends);
    }
    let reply = post(server.address, "/tokens", r#"{"name":"web-1","mesh":"demo","validFor":"1s"}"#).await;
    let much_later = now() + Duration::from_hours(1);
    assert!(server.token_keys.keyring().verify_dataplane(&reply.body, much_later).is_err());
}

#[tokio::test]
async fn a_control_plane_without_tokens_says_so() {
    let store = std::sync::Arc::new(store::MemoryStore::new(1));
    let server = Server::start_with(store, |api| api.tokens_enabled = false).await;
    let reply = post(server.address, "/tokens", r#"{"name":"web-1","mesh":"demo"}"#).await;
    assert_eq!(reply.status, 404);
    assert!(reply.body.contains("dataplaneTokenServer.enabled"), "{}", reply.body);
    let catalogue = crate::client::get(server.address, "/catalogue").await.json();
    assert_eq!(catalogue["apis"]["dataplaneToken"]["localUrl"], "");
}

#[tokio::test]
async fn a_bootstrap_is_yaml_in_which_strings_are_values() {
    let server = Server::start().await;
    put(server.address, "/meshes/demo", r#"{"type":"Mesh","name":"demo"}"#).await;
    let dataplane = r#"{"type":"Dataplane","mesh":"demo","name":"web","networking":{"inbound":[
        {"interface":"10.0.0.1:80:8080","tags":{"service":"web"}}]}}"#;
    assert_eq!(put(server.address, "/meshes/demo/dataplanes/web", dataplane).await.status, 201);

    let path = "/run/x'\\\"\\\\: {evil: yes}, #";
    let body = format!(r#"{{"mesh":"demo","name":"web","dataplaneTokenPath":"{path}","unknown":1}}"#);
    let reply = post(server.address, "/bootstrap", &body).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/x-yaml")), "{}", reply.body);
    let bootstrap: serde_json::Value = serde_saphyr::from_str(&reply.body).expect("it is YAML");
    assert_eq!(bootstrap["node"]["id"], "demo.web");
    assert_eq!(bootstrap["node"]["cluster"], "web");
    assert_eq!(
        bootstrap["node"]["metadata"]["dataplaneTokenPath"], "/run/x'\"\\: {evil: yes}, #",
        "{}",
        reply.body
    );
}
