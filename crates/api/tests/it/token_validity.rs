//! Revoking tokens and changing the keys that sign them, with real tokens.

use std::sync::Arc;

use api::TokenKeys as _;
use identity::TokenError;
use serde_json::{Value, json};
use store::MemoryStore;

use crate::{
    client::{ask, get, post},
    server::{EPOCH, Server, now},
};

async fn token(server: &Server) -> String {
    post(server.address, "/tokens", r#"{"name":"web","mesh":"demo","validFor":"1h"}"#).await.body
}

async fn keys(server: &Server) -> Vec<(String, bool)> {
    let list = get(server.address, "/tokens/keys").await.json();
    let items = list["items"].as_array().expect("it is a list");
    items.iter().map(|it| (it["kid"].as_str().unwrap().to_owned(), it["signs"].as_bool().unwrap())).collect()
}

async fn new_key(server: &Server) -> String {
    let made = ask(server.address, "POST /tokens/keys", &[], None).await;
    assert_eq!(made.status, 200, "{}", made.body);
    made.json()["kid"].as_str().expect("it has a name").to_owned()
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once_and_the_list_says_when_it_ends() {
    let server = Server::start().await;
    let (lost, other) = (token(&server).await, token(&server).await);
    let claims = server.token_keys.keyring().verify_dataplane(&lost, now()).expect("it holds");

    let reply = post(server.address, "/tokens/revocations", &json!({"token": lost}).to_string()).await;
    assert_eq!((reply.status, reply.json()), (200, json!({"jti": claims.jti})));
    assert_eq!(reply.header("kuma-revision"), Some("0000abcd-1"));
    let keyring = server.token_keys.keyring();
    assert_eq!(keyring.verify_dataplane(&lost, now()), Err(TokenError::Revoked { jti: claims.jti.clone() }));
    assert!(keyring.verify_dataplane(&other, now()).is_ok());
    let revoked = get(server.address, "/tokens/revocations").await;
    assert_eq!(revoked.json(), json!({"items": [{"jti": claims.jti, "exp": claims.exp}]}));

    let again = post(server.address, "/tokens/revocations", &json!({"token": lost}).to_string()).await;
    assert_eq!((again.status, again.header("kuma-revision")), (200, Some("0000abcd-1")));
}

#[tokio::test]
async fn a_new_key_signs_and_the_old_one_s_tokens_hold_until_it_is_retired() {
    let server = Server::start().await;
    let before = token(&server).await;
    let old = keys(&server).await[0].0.clone();
    let retire = |kid: &str| format!("DELETE /tokens/keys/{kid}");

    let only = ask(server.address, &retire(&old), &[], None).await;
    assert_eq!(only.status, 409);
    assert!(only.body.contains("Make a new one first"), "{}", only.body);

    let new = new_key(&server).await;
    assert_eq!(keys(&server).await, [(old.clone(), false), (new.clone(), true)]);
    let after = token(&server).await;
    let keyring = server.token_keys.keyring();
    assert_eq!(keyring.token_id(&after).map(|id| id.kid), Ok(new.clone()));
    assert!(keyring.verify_dataplane(&before, now()).is_ok());

    assert_eq!(ask(server.address, &retire(&new), &[], None).await.status, 409);
    let retired = ask(server.address, &retire(&old), &[], None).await;
    assert_eq!((retired.status, retired.body.as_str()), (200, ""));
    assert_eq!(retired.header("kuma-revision"), Some("0000abcd-2"));
    let keyring = server.token_keys.keyring();
    assert_eq!(keyring.verify_dataplane(&before, now()), Err(TokenError::UnknownKey { kid: old.clone() }));
    assert!(keyring.verify_dataplane(&after, now()).is_ok());
    assert_eq!(ask(server.address, &retire(&old), &[], None).await.status, 404);
}

#[tokio::test]
async fn a_token_of_another_control_plane_is_not_revoked_here() {
    let (server, other) = (Server::start().await, Server::start().await);
    let body = json!({"token": token(&other).await}).to_string();
    let reply = post(server.address, "/tokens/revocations", &body).await;
    assert_eq!((reply.status, &reply.json()["causes"][0]["field"]), (400, &json!("token")));
    assert_eq!(get(server.address, "/tokens/revocations").await.json(), json!({"items": []}));
}

#[tokio::test]
async fn where_no_tokens_are_given_out_those_that_are_out_can_be_revoked() {
    let store = Arc::new(MemoryStore::new(EPOCH));
    let server = Server::start_with(store, |api| api.tokens_enabled = false).await;
    let body = r#"{"jti":"01234567-89ab-cdef-0123-456789abcdef"}"#;
    assert_eq!(post(server.address, "/tokens/revocations", body).await.status, 200);
    new_key(&server).await;
}

#[tokio::test]
async fn a_read_only_api_shows_which_tokens_hold_and_changes_nothing() {
    let store = Arc::new(MemoryStore::new(EPOCH));
    let server = Server::start_with(store, |api| api.read_only = Some("Use kubectl.".to_owned())).await;
    let kid = keys(&server).await[0].0.clone();
    for (request, allow) in [
        ("POST /tokens/revocations", "GET, HEAD"),
        ("POST /tokens/keys", "GET, HEAD"),
        (&format!("DELETE /tokens/keys/{kid}"), ""),
    ] {
        let reply = ask(server.address, request, &[], Some("{}")).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{request}");
        assert_eq!(reply.json()["details"], "Use kubectl.", "{request}");
    }
    assert_eq!(get(server.address, "/tokens/revocations").await.json()["items"], Value::Array(Vec::new()));
}
