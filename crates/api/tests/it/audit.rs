//! What is written down, and what never is.

use std::{
    io,
    sync::{Arc, Mutex},
};

use api::TokenKeys as _;
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    client::{ask, get, post, put},
    server::Server,
};

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no writer panics").clone()).expect("logs are UTF-8")
    }

    /// The lines of the audit, as their fields.
    fn audit(&self) -> Vec<Value> {
        let lines: Vec<Value> =
            self.text().lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        lines
            .into_iter()
            .filter(|line| line["target"] == "audit")
            .map(|line| line["fields"].clone())
            .collect()
    }
}

/// The runtime of a test has one thread, so all that the server does is written to this.
fn listen() -> (Written, tracing::subscriber::DefaultGuard) {
    let written = Written::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(written.clone())
        .finish();
    (written, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn every_write_leaves_a_line_and_every_refusal_its_reason() {
    let (written, _guard) = listen();
    let server = Server::start().await;
    put(server.address, "/meshes/demo", r#"{"type":"Mesh","name":"demo"}"#).await;
    put(server.address, "/meshes/demo", r#"{"type":"Mesh","name":"other"}"#).await;
    ask(server.address, "DELETE /meshes/demo", &[], None).await;
    ask(server.address, "GET /meshes", &[("host".into(), "evil.example".into())], None).await;
    ask(server.address, "GET /meshes/nowhere", &[], None).await;

    let lines = written.audit();
    let told = |line: &Value, names: &[&str]| -> Vec<String> {
        names.iter().map(|name| line[name].to_string().trim_matches('"').to_owned()).collect()
    };
    let write = ["message", "who", "method", "kind", "mesh", "name", "revision", "outcome"];
    let refusal = ["message", "who", "method", "path", "status"];
    assert_eq!(
        told(&lines[0], &write),
        ["write accepted", "loopback", "PUT", "Mesh", "demo", "demo", "0000abcd-1", "created"]
    );
    assert!(lines[0]["from"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(told(&lines[1], &refusal), ["refused", "loopback", "PUT", "/meshes/demo", "400"]);
    assert_eq!(told(&lines[2], &write)[6..], ["0000abcd-2", "deleted"]);
    assert_eq!(told(&lines[3], &refusal), ["refused", "loopback", "GET", "/meshes", "421"]);
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[tokio::test]
async fn each_write_of_a_transaction_leaves_a_line_and_a_dry_run_leaves_none() {
    let (written, _guard) = listen();
    let server = Server::start().await;
    let operations = r#"{"operations": [{"op": "put", "resource": {"type": "Mesh", "name": "demo"}},
        {"op": "delete", "type": "TrafficLog", "mesh": "demo", "name": "none"}]}"#;
    post(server.address, "/transactions?dryRun=true", operations).await;
    put(server.address, "/meshes/demo?dryRun=true", r#"{"type":"Mesh","name":"demo"}"#).await;
    assert_eq!(written.audit(), Vec::<Value>::new());

    post(server.address, "/transactions", operations).await;
    let told: Vec<[Value; 5]> = written
        .audit()
        .iter()
        .map(|line| ["method", "kind", "name", "revision", "outcome"].map(|name| line[name].clone()))
        .collect();
    let line =
        |kind: &str, name: &str, outcome: &str| ["POST", kind, name, "0000abcd-1", outcome].map(Value::from);
    assert_eq!(told, [line("Mesh", "demo", "created"), line("TrafficLog", "none", "absent")]);
}

#[tokio::test]
async fn a_change_of_certificate_authorities_leaves_a_line_and_what_is_refused_its_reason() {
    let (written, _guard) = listen();
    let server = Server::start().await;
    put(server.address, "/meshes/demo", r#"{"type":"Mesh","name":"demo"}"#).await;
    let cas = "/meshes/demo/certificate-authorities";
    for request in [
        format!("POST {cas}"),
        format!("POST {cas}/2/signing"),
        format!("POST {cas}/2/signing?force=true"),
        format!("DELETE {cas}/1?force=true"),
    ] {
        ask(server.address, &request, &[], None).await;
    }
    let lines = written.audit();
    let told = |line: &Value| {
        ["message", "method", "kind", "mesh", "name", "revision", "outcome"].map(|it| line[it].clone())
    };
    let write = |method: &str, name: &str, outcome: &str| {
        ["write accepted", method, "MeshCa", "demo", name, "0000abcd-42", outcome].map(Value::from)
    };
    assert_eq!(told(&lines[1]), write("POST", "2", "created"));
    assert_eq!((&lines[2]["message"], &lines[2]["status"]), (&"refused".into(), &409.into()));
    assert!(lines[2]["reason"].as_str().is_some_and(|it| it.starts_with("1 of 3 connected proxies trust")));
    assert_eq!(told(&lines[3]), write("POST", "2", "configured"));
    assert_eq!(told(&lines[4]), write("DELETE", "1", "deleted"));
    assert_eq!(lines.len(), 5, "{lines:?}");
}

#[tokio::test]
async fn a_token_is_given_out_and_written_nowhere() {
    let (written, _guard) = listen();
    let server = Server::start().await;
    let token = post(server.address, "/tokens", r#"{"name":"web","mesh":"demo","validFor":"1h"}"#).await.body;
    let lines = written.audit();
    assert_eq!(lines[0]["message"], "token issued");
    assert_eq!(lines[0]["name"], "web");
    let id = server.token_keys.keyring().token_id(&token).expect("it is a token");
    assert_eq!(lines[0]["jti"], id.jti);
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("no JWT: {token}")
    };
    for part in [header, claims, signature] {
        assert!(!written.text().contains(part), "{}", written.text());
    }
}

#[tokio::test]
async fn a_change_of_the_tokens_is_written_down_without_the_token() {
    let (written, _guard) = listen();
    let server = Server::start().await;
    let token = post(server.address, "/tokens", r#"{"name":"web","mesh":"demo"}"#).await.body;
    let revoked =
        post(server.address, "/tokens/revocations", &format!(r#"{{"token":"{token}"}}"#)).await.json();
    post(server.address, "/tokens/revocations", &revoked.to_string()).await;
    let made = ask(server.address, "POST /tokens/keys", &[], None).await.json();
    let kids = get(server.address, "/tokens/keys").await.json();
    let old = &kids["items"][0]["kid"];
    let retire = format!("DELETE /tokens/keys/{}", old.as_str().expect("a kid"));
    assert_eq!(ask(server.address, &retire, &[], None).await.status, 200);
    // Refused, each in its way.
    for body in [format!(r#""{token}""#), format!(r#"{{"jti":"{token}"}}"#), format!(r#"{{"{token}":1}}"#)] {
        assert_eq!(post(server.address, "/tokens/revocations", &body).await.status, 400);
    }

    let lines = written.audit();
    let told = |line: &Value| {
        ["message", "method", "kind", "name", "revision", "outcome"].map(|it| line[it].clone())
    };
    let write = |method: &str, kind: &str, name: &Value, revision: &str, outcome: &str| {
        let [message, method, kind, revision, outcome] =
            ["write accepted", method, kind, revision, outcome].map(Value::from);
        [message, method, kind, name.clone(), revision, outcome]
    };
    let jti = &revoked["jti"];
    assert_eq!(told(&lines[1]), write("POST", "TokenRevocation", jti, "0000abcd-1", "created"));
    assert_eq!(told(&lines[2]), write("POST", "TokenRevocation", jti, "0000abcd-1", "unchanged"));
    assert_eq!(told(&lines[3]), write("POST", "TokenKey", &made["kid"], "0000abcd-2", "created"));
    assert_eq!(told(&lines[4]), write("DELETE", "TokenKey", old, "0000abcd-3", "deleted"));
    assert_eq!(lines.len(), 8, "{lines:?}");
    for part in token.split('.') {
        assert!(!written.text().contains(part), "{}", written.text());
    }
}
