//! A store that fails, and writers who cross each other.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use model::{DataplaneInsight, Key, Kind};
use store::{
    BoxFuture, Change, Committed, HistoryGone, MemoryStore, Present, Revision, Sealed, Store, StoreError,
    TokenChange, TokensChanged, Transaction, Write,
};
use tokio::sync::watch;

use crate::{
    client::{ask, get, put},
    server::{EPOCH, Server},
};

const MESH: &str = r#"{"type":"Mesh","name":"demo"}"#;
const DATAPLANE: &str = r#"{"type":"Dataplane","mesh":"demo","name":"web","networking":{"inbound":[
    {"interface":"10.0.0.1:80:8080","tags":{"service":"web"}}]}}"#;

#[derive(Clone, Copy)]
enum Fault {
    Unavailable,
    Panics,
    /// Another writer deletes this mesh in the moment before the commit.
    LosesMesh,
    /// Another writer changes this mesh in the moment before the commit.
    LosesRace,
}

/// The memory store, until its third commit.
struct Faulty {
    inner: MemoryStore,
    fault: Fault,
    commits: AtomicU64,
}

impl Faulty {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner: MemoryStore::new(EPOCH), fault, commits: AtomicU64::new(0) })
    }

    async fn intervene(&self, write: Write) {
        let other = Transaction { writes: vec![write], ..Transaction::default() };
        self.inner.commit(other).await.expect("memory does not fail");
    }
}

impl Store for Faulty {
    fn present(&self) -> Arc<Present> {
        self.inner.present()
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async {
            if self.commits.fetch_add(1, Relaxed) >= 2 {
                match self.fault {
                    Fault::Unavailable => {
                        return Err(StoreError::Unavailable("/secret/kuma.db is full".into()));
                    }
                    Fault::Panics => panic!("the store has a fault of its own"),
                    Fault::LosesMesh => self.intervene(Write::Delete(Key::mesh("demo"))).await,
                    Fault::LosesRace => {
                        let changed =
                            Kind::Mesh.read_spec(serde_json::json!({"mtls":{"enabled":true}})).unwrap();
                        self.intervene(Write::Put(Key::mesh("demo"), Arc::new(changed))).await;
                    }
                }
            }
            self.inner.commit(transaction).await
        })
    }

    fn changes(&self, since: u64) -> Result<Vec<Arc<Change>>, HistoryGone> {
        self.inner.changes(since)
    }

    fn revisions(&self) -> watch::Receiver<u64> {
        self.inner.revisions()
    }

    fn secret(&self, scope: &str, name: &str) -> Option<Sealed> {
        self.inner.secret(scope, name)
    }

    fn secrets(&self, scope: &str) -> Vec<(Arc<str>, Sealed)> {
        self.inner.secrets(scope)
    }

    fn put_secret_if_absent(
        &self,
        scope: &str,
        name: &str,
        sealed: Vec<u8>,
    ) -> BoxFuture<'_, Result<Sealed, StoreError>> {
        self.inner.put_secret_if_absent(scope, name, sealed)
    }

    fn replace_secret(
        &self,
        scope: &str,
        name: &str,
        before: Sealed,
        after: Vec<u8>,
    ) -> BoxFuture<'_, Result<Option<Revision>, StoreError>> {
        self.inner.replace_secret(scope, name, before, after)
    }

    fn change_tokens(
        &self,
        change: TokenChange,
        ended_before: u64,
    ) -> BoxFuture<'_, Result<TokensChanged, StoreError>> {
        self.inner.change_tokens(change, ended_before)
    }

    fn put_first_token_key(&self, kid: &str, sealed: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.put_first_token_key(kid, sealed)
    }

    fn put_insights(&self, insights: Vec<(Key, DataplaneInsight)>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.put_insights(insights)
    }

    fn reads(&self) -> u64 {
        self.inner.reads()
    }
}

/// A server that has already taken two writes: the next one meets the fault.
async fn server(fault: Fault) -> Server {
    let server = Server::start_with(Faulty::new(fault), |_| {}).await;
    assert_eq!(put(server.address, "/meshes/demo", MESH).await.status, 201);
    assert_eq!(put(server.address, "/meshes/demo/dataplanes/web", DATAPLANE).await.status, 201);
    server
}

#[tokio::test]
async fn while_the_store_is_away_reading_works_and_writing_says_when_to_try_again() {
    let server = server(Fault::Unavailable).await;
    let reply = put(server.address, "/meshes/other", r#"{"type":"Mesh","name":"other"}"#).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("2")));
    assert_eq!(reply.json()["title"], "Could not create a resource");
    assert!(!reply.body.contains("secret"), "{}", reply.body);
    assert_eq!(get(server.address, "/meshes/demo").await.status, 200);
}

#[tokio::test]
async fn a_panic_takes_down_its_request_and_no_other() {
    let server = server(Fault::Panics).await;
    let reply = ask(server.address, "DELETE /meshes/demo", &[], None).await;
    assert_eq!(reply.status, 500);
    let expected =
        serde_json::json!({"title": "Could not delete a resource", "details": "Internal Server Error"});
    assert_eq!(reply.json(), expected);
    assert_eq!(get(server.address, "/meshes/demo").await.status, 200);
}

#[tokio::test]
async fn a_mesh_that_goes_in_the_same_moment_leaves_no_orphan() {
    let server = server(Fault::LosesMesh).await;
    let reply =
        put(server.address, "/meshes/demo/dataplanes/web", &DATAPLANE.replace("10.0.0.1", "10.0.0.9")).await;
    let expected = serde_json::json!({
        "title": "Could not create a resource",
        "details": "Mesh is not found",
        "causes": [{"field": "mesh", "message": "mesh of name demo is not found"}],
    });
    assert_eq!((reply.status, reply.json()), (400, expected));
    assert_eq!(get(server.address, "/meshes/demo/dataplanes/web").await.status, 404);
}

#[tokio::test]
async fn a_condition_is_judged_in_the_transaction() {
    let server = server(Fault::LosesRace).await;
    let tag = get(server.address, "/meshes/demo").await.header("etag").unwrap().to_owned();
    let headers = [("if-match".to_owned(), tag)];
    let body = r#"{"type":"Mesh","name":"demo","tracing":{}}"#;
    assert_eq!(ask(server.address, "PUT /meshes/demo", &headers, Some(body)).await.status, 412);
    assert_eq!(get(server.address, "/meshes/demo").await.json()["mtls"]["enabled"], true);
}
