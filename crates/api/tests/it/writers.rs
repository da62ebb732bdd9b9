//! Writers of one thing at the same time: nothing that was acknowledged is lost, and of those who race one wins.
//!
//! Each promise is asked of memory and of the embedded store. Nothing orders the writers: what is asserted holds however
//! they meet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Key, Kind, Scope, Spec};
use serde_json::json;
use store::{EmbeddedStore, MemoryStore};
use tempfile::TempDir;

use crate::{
    client::{Reply, get},
    exchange::{Body, Connection, request},
    server::{EPOCH, Server},
};

const WRITERS: usize = 8;

async fn servers() -> Vec<(Server, Option<TempDir>)> {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let file = folder.path().join("store.db");
    let embedded = EmbeddedStore::open(&file, EPOCH).expect("a new file is a store");
    let memory = Server::start_with(Arc::new(MemoryStore::new(EPOCH)), |_| {}).await;
    let embedded = Server::start_with(Arc::new(embedded), |_| {}).await;
    vec![(memory, None), (embedded, Some(folder))]
}

struct Client(Connection);

impl Client {
    async fn ask(&mut self, method: &str, path: &str, condition: Option<(&str, &str)>, body: &str) -> Reply {
        let headers =
            [("host", "localhost"), ("content-type", "application/json")].into_iter().chain(condition);
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert!(self.0.send(&request(method, path, &headers, body.as_bytes())).await);
        self.0.answer(Body::Comes).await.expect("every writer is answered")
    }
}

/// Runs `write` for each writer at the same time, and returns what they return.
async fn together<T: Send + 'static, F>(server: &Server, mut write: impl FnMut(usize, Client) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let client = Client(Connection::open(server.address).await);
        writers.push(tokio::spawn(write(writer, client)));
    }
    let mut results = Vec::new();
    for writer in writers {
        results.push(writer.await.expect("a writer says itself what is wrong"));
    }
    results
}

/// A Mesh whose content is a text.
fn mesh(content: &str) -> String {
    json!({"type": "Mesh", "name": "demo", "tracing": {"zipkin": {"address": content}}}).to_string()
}

fn content(mesh: &Spec) -> String {
    let Spec::Mesh(mesh) = mesh else { panic!("{mesh:?} is no Mesh") };
    mesh.tracing.clone().and_then(|tracing| tracing.zipkin).unwrap_or_default().address
}

fn number(revision: Option<&str>) -> u64 {
    let number = revision.and_then(|revision| revision.trim_matches('"').split_once('-')?.1.parse().ok());
    number.expect("a revision is a number behind the epoch")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    const WRITES: usize = 25;
    for (server, _folder) in servers().await {
        let acknowledged = together(&server, |writer, mut client| async move {
            let mut acknowledged = Vec::new();
            for i in 0..WRITES {
                let content = format!("{writer}.{i}");
                let reply = client.ask("PUT", "/meshes/demo", None, &mesh(&content)).await;
                acknowledged.push((number(reply.header("kuma-revision")), content, reply.status));
            }
            assert!(acknowledged.is_sorted_by(|a, b| a.0 < b.0), "a writer's later write is later");
            acknowledged
        })
        .await
        .concat();

        let created = acknowledged.iter().filter(|(_, _, status)| *status == 201).count();
        assert_eq!((created, acknowledged.len()), (1, WRITERS * WRITES));
        let by_revision: BTreeMap<u64, String> =
            acknowledged.into_iter().map(|(revision, content, _)| (revision, content)).collect();
        assert_eq!(by_revision.len(), WRITERS * WRITES, "each write has a revision of its own");
        let changes = server.store.changes(0).expect("history is long enough");
        let history = changes.iter().map(|change| (change.revision, content(change.spec.as_ref().unwrap())));
        assert_eq!(history.collect::<Vec<_>>(), by_revision.clone().into_iter().collect::<Vec<_>>());
        let last = get(server.address, "/meshes/demo").await.json();
        assert_eq!(last["tracing"]["zipkin"]["address"], *by_revision.last_key_value().unwrap().1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_that_is_changed_under_its_tag_counts_every_acknowledgement() {
    const INCREMENTS: usize = 10;
    for (server, _folder) in servers().await {
        assert_eq!(crate::client::put(server.address, "/meshes/demo", &mesh("0")).await.status, 201);
        let won = together(&server, |_, mut client| async move {
            let mut won = Vec::new();
            while won.len() < INCREMENTS {
                let seen = client.ask("GET", "/meshes/demo", None, "").await;
                let count: usize =
                    seen.json()["tracing"]["zipkin"]["address"].as_str().unwrap().parse().unwrap();
                let tag = seen.header("etag").unwrap();
                let body = mesh(&(count + 1).to_string());
                match client.ask("PUT", "/meshes/demo", Some(("if-match", tag)), &body).await.status {
                    200 => won.push(tag.to_owned()),
                    status => assert_eq!(status, 412),
                }
            }
            won
        })
        .await
        .concat();

        let last = get(server.address, "/meshes/demo").await.json();
        assert_eq!(last["tracing"]["zipkin"]["address"], (WRITERS * INCREMENTS).to_string());
        let tags: BTreeSet<&String> = won.iter().collect();
        assert_eq!(tags.len(), WRITERS * INCREMENTS, "of those who saw one tag one wins");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_only_be_created_is_created_once() {
    for (server, _folder) in servers().await {
        for round in 0..20 {
            let path = format!("/meshes/m-{round}");
            let statuses = together(&server, |writer, mut client| {
                let (path, round) = (path.clone(), round);
                async move {
                    let body = json!({"type": "Mesh", "name": format!("m-{round}"),
                        "tracing": {"zipkin": {"address": writer.to_string()}}});
                    let reply =
                        client.ask("PUT", &path, Some(("if-none-match", "*")), &body.to_string()).await;
                    (reply.status, writer)
                }
            })
            .await;
            let created: Vec<_> = statuses.iter().filter(|(status, _)| *status == 201).collect();
            assert_eq!(created.len(), 1, "{statuses:?}");
            assert!(statuses.iter().all(|(status, _)| [201, 412].contains(status)), "{statuses:?}");
            let stored = get(server.address, &path).await.json();
            assert_eq!(stored["tracing"]["zipkin"]["address"], created[0].1.to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_that_is_deleted_in_a_race_leaves_no_orphan() {
    const ROUNDS: usize = 30;
    for (server, _folder) in servers().await {
        together(&server, |writer, mut client| async move {
            for i in 0..ROUNDS {
                if writer > 0 {
                    assert_taken_or_without_mesh(&put_permission(&mut client, writer, i).await);
                    continue;
                }
                // Only this one deletes the mesh, so that something of its own goes with it each time.
                assert!(
                    [200, 201].contains(&client.ask("PUT", "/meshes/demo", None, &mesh("")).await.status)
                );
                assert_eq!(put_permission(&mut client, writer, i).await.status, 201);
                assert_eq!(client.ask("DELETE", "/meshes/demo", None, "").await.status, 200);
            }
        })
        .await;

        let deleted = assert_no_orphan_in_history(&server);
        assert!(deleted >= ROUNDS, "{deleted}");
        assert_eq!(get(server.address, "/meshes/demo").await.status, 404);
        let orphans = get(server.address, "/meshes/demo/traffic-permissions").await.body;
        assert_eq!(orphans, r#"{"items":[]}"#);
    }
}

/// Each round's is another, so that it is a change whenever it is taken.
async fn put_permission(client: &mut Client, writer: usize, round: usize) -> Reply {
    let name = format!("p-{writer}");
    let any = json!([{"match": {"service": format!("s-{round}")}}]);
    let permission = json!({"type": "TrafficPermission", "mesh": "demo", "name": name,
        "sources": any, "destinations": any});
    let path = format!("/meshes/demo/traffic-permissions/{name}");
    client.ask("PUT", &path, None, &permission.to_string()).await
}

fn assert_taken_or_without_mesh(reply: &Reply) {
    match reply.status {
        200 | 201 => {}
        status => assert_eq!((status, &reply.json()["details"]), (400, &json!("Mesh is not found"))),
    }
}

/// After each revision, whatever lives in a mesh has its mesh. Returns how many things went with theirs.
fn assert_no_orphan_in_history(server: &Server) -> usize {
    let mut there = BTreeSet::new();
    let mut went_along = 0;
    let changes = server.store.changes(0).expect("history is long enough");
    for revision in changes.chunk_by(|a, b| a.revision == b.revision) {
        for change in revision {
            match change.spec {
                Some(_) => there.insert(change.key.clone()),
                None => there.remove(&change.key),
            };
            went_along += usize::from(change.spec.is_none() && change.key.kind != Kind::Mesh);
        }
        let orphan = there
            .iter()
            .find(|key| key.kind.scope() == Scope::Mesh && !there.contains(&Key::mesh(key.mesh.clone())));
        assert_eq!(orphan, None, "after revision {}", revision[0].revision);
    }
    let present: BTreeSet<Key> = server.store.present().iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(there, present, "history leads to the present");
    went_along
}
