//! Thousands of requests as no client would send them, among thousands of good ones: none may hang the server, get an
//! answer of a shape of its own, or leave a trace that its answer does not tell of.
//!
//! What should be there is kept beside the server and compared at the end.

use std::collections::BTreeMap;

use api::fuzzing;
use fastrand::Rng;
use model::{Document, Key, Kind, Scope, print_entity};
use serde_json::Value;

use crate::{
    client::{Reply, get},
    exchange::{Body, Connection},
    grammar::{Asked, Framing, MESHES, asked},
    server::Server,
};

/// Each on a server of its own.
const SEEDS: u64 = 4;
const REQUESTS: u64 = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_asked_is_answered_and_only_what_was_acknowledged_is_there() {
    let lives: Vec<_> = (0..SEEDS).map(|seed| tokio::spawn(live(seed))).collect();
    for life in lives {
        life.await.expect("the test before this line says what is wrong");
    }
}

async fn live(seed: u64) {
    let server = Server::start().await;
    let mut rng = Rng::with_seed(seed);
    let mut world = World::default();
    let mut connection = Connection::open(server.address).await;
    for number in 0..REQUESTS {
        let asked = asked(&mut rng);
        let told = || format!("seed {seed}, request {number}: {}", asked.bytes.escape_ascii());
        let before = server.store.present().revision();
        if asked.framing == Framing::Wrong {
            let mut broken = Connection::open(server.address).await;
            broken.send(&asked.bytes).await;
            broken.half_close().await;
            while let Some(reply) = broken.answer(Body::Comes).await {
                assert!(reply.status < 500, "{}\n{reply:?}", told());
                if !Connection::goes_on(&reply) {
                    break;
                }
            }
            world = World::of(&server);
            continue;
        }
        let body = if asked.method == "HEAD" { Body::StaysAway } else { Body::Comes };
        connection.send(&asked.bytes).await;
        let mut reply = connection.answer(body).await;
        if reply.is_none() {
            // Between two requests a server may close (RFC 9112, section 9.5), as after a body that it would not read.
            connection = Connection::open(server.address).await;
            connection.send(&asked.bytes).await;
            reply = connection.answer(body).await;
        }
        let reply = reply.unwrap_or_else(|| panic!("no answer\n{}", told()));
        assert_well_formed(&reply, &asked, &told);
        let after = server.store.present().revision();
        let may_change = reply.status < 300 && ["PUT", "DELETE", "POST"].contains(&asked.method);
        assert!(after == before || (may_change && !asked.is_dry_run), "{}\n{reply:?}", told());
        if may_change && !asked.is_dry_run {
            world.acknowledge(&asked);
            if let Some(key) = asked_key(&asked).filter(|_| asked.method == "PUT") {
                let stored = get(server.address, asked.target.split('?').next().unwrap_or_default()).await;
                assert_eq!(Some(&stored.json()), world.0.get(&key), "{}", told());
            }
        }
        if !Connection::goes_on(&reply) {
            connection = Connection::open(server.address).await;
        }
    }
    world.assert_is_listed(&server).await;
}

/// What every answer is, whatever was asked.
fn assert_well_formed(reply: &Reply, asked: &Asked, told: &dyn Fn() -> String) {
    assert!(reply.status < 500, "{}\n{reply:?}", told());
    assert!(
        reply.header("kuma-revision").is_some_and(|it| it.starts_with("0000abcd-")),
        "{}\n{reply:?}",
        told()
    );
    if reply.status == 405 {
        assert!(reply.header("allow").is_some(), "{}\n{reply:?}", told());
    }
    if reply.status < 400 || asked.method == "HEAD" {
        return;
    }
    assert_eq!(reply.header("content-type"), Some("application/json"), "{}\n{reply:?}", told());
    let error = reply.json();
    for field in ["title", "details"] {
        let text = error[field].as_str().unwrap_or_default();
        assert!(!text.is_empty() && !text.contains('\n') && text.len() < 4096, "{}\n{reply:?}", told());
    }
    for cause in error["causes"].as_array().into_iter().flatten() {
        assert!(cause["field"].is_string() && cause["message"].is_string(), "{}\n{reply:?}", told());
    }
}

/// What should be there, as it is answered.
#[derive(Default)]
struct World(BTreeMap<Key, Value>);

impl World {
    fn of(server: &Server) -> Self {
        let present = server.store.present();
        Self(present.iter().map(|(key, entry)| (key.clone(), json(&entry.json))).collect())
    }

    fn acknowledge(&mut self, asked: &Asked) {
        if asked.method == "POST" && asked.target.starts_with("/transactions") {
            let transaction = if asked.is_yaml { yaml(&asked.body) } else { json(&asked.body) };
            for operation in transaction["operations"].as_array().into_iter().flatten() {
                self.operation(operation);
            }
        }
        let Some(key) = asked_key(asked) else { return };
        match asked.method {
            "PUT" => {
                let read = if asked.is_yaml { fuzzing::yaml_document } else { fuzzing::json_document };
                self.put(key.clone(), read(key.kind, &asked.body).expect("what was accepted can be read"));
            }
            _ => self.delete(&key),
        }
    }

    fn operation(&mut self, operation: &Value) {
        let described = if operation["op"] == "put" { &operation["resource"] } else { operation };
        let text = |field: &str| described[field].as_str().unwrap_or_default();
        let kind = Kind::from_name(text("type")).expect("a transaction names a kind");
        let key = Key::new(kind, text("mesh"), text("name"));
        if operation["op"] == "put" {
            let resource = described.to_string();
            let document = fuzzing::json_document(kind, resource.as_bytes());
            self.put(key, document.expect("what was accepted can be read"));
        } else {
            self.delete(&key);
        }
    }

    fn put(&mut self, key: Key, document: Document) {
        let mut spec = document.spec;
        spec.set_defaults();
        let printed = print_entity(&key, &spec).expect("what was read can be printed");
        self.0.insert(key, json(&printed));
    }

    fn delete(&mut self, key: &Key) {
        self.0.retain(|other, _| other != key && !(key.kind == Kind::Mesh && other.mesh == key.mesh));
    }

    async fn assert_is_listed(&self, server: &Server) {
        for &kind in Kind::ALL {
            let meshes: &[&str] = if kind.scope() == Scope::Mesh { &MESHES } else { &[""] };
            for mesh in meshes {
                let prefix = if mesh.is_empty() { String::new() } else { format!("/meshes/{mesh}") };
                let list = get(server.address, &format!("{prefix}/{}", kind.path())).await.json();
                let of_list = |key: &&Key| key.kind == kind && (mesh.is_empty() || *key.mesh == **mesh);
                let expected: Vec<_> =
                    self.0.iter().filter(|(key, _)| of_list(key)).map(|(_, it)| it).collect();
                assert_eq!(list["items"].as_array().map(|items| items.iter().collect()), Some(expected));
            }
        }
        assert!(!self.0.is_empty(), "some of what was asked was good");
    }
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("it is JSON")
}

fn yaml(text: &[u8]) -> Value {
    serde_saphyr::from_slice(text).expect("it is YAML")
}

/// The entity that a path names: nothing else can be PUT or DELETEd.
fn asked_key(asked: &Asked) -> Option<Key> {
    let path = asked.target.split('?').next()?;
    let segments: Vec<String> = path.trim_matches('/').split('/').map(decoded).collect();
    let key = match segments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["meshes", name] => Key::mesh(name),
        ["meshes", mesh, collection, name] => Key::new(Kind::from_path(collection)?, mesh, name),
        _ => return None,
    };
    Some(key)
}

fn decoded(segment: &str) -> String {
    let mut parts = segment.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("the server took it for percent-encoding"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).expect("the server took it for UTF-8")
}
