//! Watching: what a reader is told, when it comes, and when it comes back.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use model::{Key, Kind, Mesh, Selector, Spec, TrafficPermission, kinds::mesh::ZipkinTracing};
use serde_json::{Value, json};
use store::{MemoryStore, Retention, TokenChange, Transaction, Write};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    client::{DEADLINE, ask, get},
    server::{EPOCH, Server},
};

/// One event: its id, its name, its data.
type Event = (Option<String>, String, Value);

struct Reader {
    stream: TcpStream,
    head: String,
    unread: String,
}

impl Reader {
    /// HTTP/1.0, so that the events come as they are, without chunks.
    async fn open(address: SocketAddr, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut reader = Self { stream, head: String::new(), unread: String::new() };
        let head = reader.until("\r\n\r\n").await.expect("there is an answer");
        reader.head = head.to_lowercase();
        reader
    }

    /// Up to and without the mark; `None` when the stream ends before it.
    async fn until(&mut self, mark: &str) -> Option<String> {
        loop {
            if let Some((text, rest)) = self.unread.split_once(mark) {
                let (text, rest) = (text.to_owned(), rest.to_owned());
                self.unread = rest;
                return Some(text);
            }
            let mut bytes = vec![0; 64 * 1024];
            let read = timeout(DEADLINE, self.stream.read(&mut bytes)).await.expect("the server goes on");
            match read.expect("the server ends a stream properly") {
                0 => return None,
                read => self.unread += std::str::from_utf8(&bytes[..read]).expect("events are UTF-8 here"),
            }
        }
    }

    async fn event(&mut self) -> Option<Event> {
        let text = self.until("\n\n").await?;
        let field = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(field, _)| *field == name).map(|(_, value)| value.to_owned()).next()
        };
        let data = field("data").map(|data| serde_json::from_str(&data).expect("data is JSON"));
        Some((field("id"), field("event").expect("an event has a name"), data.expect("an event has data")))
    }

    async fn events(&mut self, number: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..number {
            events.push(self.event().await.expect("the stream goes on"));
        }
        events
    }
}

fn revision(number: u64) -> String {
    format!("0000abcd-{number}")
}

fn put(id: Option<u64>, number: u64, key: &Value, resource: &Value) -> Event {
    let data = json!({"revision": revision(number), "key": key, "resource": resource});
    (id.map(revision), "put".to_owned(), data)
}

fn delete(id: Option<u64>, number: u64, key: &Value) -> Event {
    (id.map(revision), "delete".to_owned(), json!({"revision": revision(number), "key": key}))
}

fn milestone(event: &str, number: u64) -> Event {
    (Some(revision(number)), event.to_owned(), json!({"revision": revision(number)}))
}

fn permission(mesh: &str, name: &str) -> (Key, Value, Value) {
    let key = json!({"type": "TrafficPermission", "mesh": mesh, "name": name});
    let any = json!([{"match": {"service": "*"}}]);
    let mut resource = key.clone();
    resource["sources"] = any.clone();
    resource["destinations"] = any;
    (Key::new(Kind::TrafficPermission, mesh, name), key, resource)
}

fn put_permission(mesh: &str, name: &str) -> Write {
    let any = vec![Selector { tags: Some([("service".to_owned(), "*".to_owned())].into()) }];
    let spec = TrafficPermission { sources: Some(any.clone()), destinations: Some(any) };
    Write::Put(permission(mesh, name).0, Arc::new(Spec::TrafficPermission(spec)))
}

/// Two of one name differ by their `content`.
fn put_mesh(name: &str, content: &str) -> Write {
    let mut mesh = Mesh::default();
    let zipkin = ZipkinTracing { address: content.to_owned() };
    mesh.tracing.get_or_insert_default().zipkin = Some(zipkin);
    Write::Put(Key::mesh(name), Arc::new(Spec::Mesh(mesh)))
}

async fn commit(server: &Server, writes: impl Into<Vec<Write>>) {
    let transaction = Transaction { writes: writes.into(), ..Transaction::default() };
    server.store.commit(transaction).await.expect("memory takes it");
}

#[tokio::test]
async fn the_present_comes_first_and_then_every_change_of_what_is_watched() {
    let server = Server::start().await;
    commit(&server, [put_mesh("m", ""), put_mesh("n", ""), put_permission("m", "a")]).await;
    let mut reader = Reader::open(server.address, "/meshes/m/traffic-permissions?watch=true", "").await;
    assert!(reader.head.starts_with("http/1.0 200 ok"), "{}", reader.head);
    assert!(reader.head.contains("content-type: text/event-stream"), "{}", reader.head);
    let (_, key, resource) = permission("m", "a");
    assert_eq!(reader.events(2).await, [put(None, 1, &key, &resource), milestone("synced", 1)]);

    // What concerns others is not told.
    commit(&server, [put_permission("n", "a"), put_mesh("m", "x")]).await;
    commit(&server, [put_permission("m", "b")]).await;
    let (_, key_b, resource_b) = permission("m", "b");
    assert_eq!(reader.events(2).await, [put(Some(3), 3, &key_b, &resource_b), milestone("commit", 3)]);

    // Of one revision the last event has the id, so that who is cut off before it gets all of it again.
    commit(&server, [Write::Delete(Key::mesh("m"))]).await;
    let told = [delete(None, 4, &key), delete(Some(4), 4, &key_b), milestone("commit", 4)];
    assert_eq!(reader.events(3).await, told);

    // The end of the server is the end of the stream.
    let stopped = tokio::spawn(server.stop());
    assert_eq!(reader.event().await, None);
    timeout(DEADLINE, stopped).await.expect("nothing holds it up").expect("it does not panic");
}

#[tokio::test]
async fn a_reader_that_comes_back_is_told_what_it_has_missed() {
    let server = Server::start().await;
    commit(&server, [put_mesh("m", "1")]).await;
    commit(&server, [put_mesh("other", "")]).await;
    commit(&server, [put_mesh("m", "2")]).await;
    commit(&server, [Write::Delete(Key::mesh("m"))]).await;
    let key = json!({"type": "Mesh", "name": "m"});
    let resource = json!({"type": "Mesh", "name": "m", "tracing": {"zipkin": {"address": "2"}}});
    let missed = [
        put(Some(3), 3, &key, &resource),
        milestone("commit", 3),
        delete(Some(4), 4, &key),
        milestone("commit", 4),
    ];
    for (path, headers) in [
        ("/meshes/m?watch=true&since=0000abcd-1", ""),
        ("/meshes?watch=true&name=m&since=0000abcd-2", ""),
        ("/meshes/m?watch=true", "last-event-id: 0000abcd-2\r\n"),
        // A browser repeats its first URL.
        ("/meshes/m?watch=true&since=0000abcd-0", "last-event-id: 0000abcd-1\r\n"),
    ] {
        let mut reader = Reader::open(server.address, path, headers).await;
        assert_eq!(reader.events(4).await, missed, "{path} {headers}");
    }
    // Nothing is missed, and nothing is there.
    let mut reader = Reader::open(server.address, "/meshes/m?watch=true", "").await;
    assert_eq!(reader.events(1).await, [milestone("synced", 4)]);
    drop(reader);
    server.stop().await;
}

#[tokio::test]
async fn a_reader_whom_history_has_forgotten_begins_again() {
    let retention = Retention { max_age_ms: u64::MAX, max_rows: 2, min_rows: 1 };
    let store = Arc::new(MemoryStore::with_retention(EPOCH, retention));
    let server = Server::start_with(store, |_| {}).await;
    for content in 0..10 {
        commit(&server, [put_mesh("m", &content.to_string())]).await;
    }
    for (since, why) in [
        ("0000abcd-1", "History does not hold 0000abcd-1"),
        ("0000abcd-11", "History does not hold 0000abcd-11"),
        ("0000abce-10", "Revision 0000abce-10 is of another store than this one"),
    ] {
        let reply = get(server.address, &format!("/meshes?watch=true&since={since}")).await;
        assert_eq!(reply.status, 410, "{since}");
        assert_eq!(reply.header("kuma-revision"), Some("0000abcd-10"));
        let details = format!("{why}; the latest revision is 0000abcd-10: begin again without since.");
        assert_eq!(reply.json(), json!({"title": "Could not retrieve resources", "details": details}));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_closed_and_others_go_on() {
    let server = Server::start().await;
    let mut slow = Reader::open(server.address, "/meshes?watch=true", "").await;
    let mut other = Reader::open(server.address, "/meshes?watch=true", "").await;
    for reader in [&mut slow, &mut other] {
        assert_eq!(reader.events(1).await, [milestone("synced", 0)]);
    }
    // More than the sockets between take, and more changes than may be left lying.
    let large = "x".repeat(16 * 1024);
    let mut last = 0;
    for name in 0..2_500 {
        commit(&server, [put_mesh(&format!("m{name}"), &large)]).await;
        last += 1;
        let told = other.events(2).await;
        assert_eq!(told[1], milestone("commit", last));
    }
    let mut told = 0;
    while let Some((_, event, _)) = slow.event().await {
        told += u64::from(event == "commit");
    }
    assert!(told < last, "{told}");
    drop(other);
    server.stop().await;
}

#[tokio::test]
async fn a_reader_whom_nothing_concerns_hears_how_far_it_has_come_all_the_same() {
    let store = Arc::new(MemoryStore::new(EPOCH));
    let quiet = Duration::from_millis(50);
    let server = Server::start_with(store, |api| api.limits.watch_quiet = quiet).await;
    let mut reader = Reader::open(server.address, "/traffic-logs?watch=true", "").await;
    assert_eq!(reader.events(1).await, [milestone("synced", 0)]);
    // However often there is something for others.
    let others = async {
        for content in 0_u64.. {
            commit(&server, [put_mesh("m", &content.to_string())]).await;
            tokio::task::yield_now().await;
        }
    };
    let comment = tokio::select! {
        comment = reader.until("\n\n") => comment.expect("the stream goes on"),
        () = others => panic!("there is always something for others"),
    };
    let told = comment.strip_prefix(":\nid: 0000abcd-").expect("a comment and an id");
    assert!(told.parse::<u64>().expect("a number") > 1, "{told}");
    drop(reader);
    server.stop().await;
}

/// A change of the tokens has a revision and no event. Were it not taken for heard, the reader would look for it for ever.
#[tokio::test]
async fn a_revision_without_a_change_of_a_resource_passes_in_silence() {
    let store = Arc::new(MemoryStore::new(EPOCH));
    let quiet = Duration::from_millis(50);
    let server = Server::start_with(store, |api| api.limits.watch_quiet = quiet).await;
    let mut reader = Reader::open(server.address, "/meshes?watch=true", "").await;
    assert_eq!(reader.events(1).await, [milestone("synced", 0)]);
    let revoke = TokenChange::Revoke { jti: "a".to_owned(), exp: None };
    server.store.change_tokens(revoke, 0).await.expect("memory takes it");
    let told = async |reader: &mut Reader| {
        let heard = async { while reader.until("\n\n").await.as_deref() != Some(":\nid: 0000abcd-1") {} };
        timeout(DEADLINE, heard).await.expect("it is told how far it has heard");
    };
    told(&mut reader).await;
    let mut later = Reader::open(server.address, "/meshes?watch=true&since=0000abcd-0", "").await;
    told(&mut later).await;

    commit(&server, [put_mesh("m", "1")]).await;
    for reader in [&mut reader, &mut later] {
        let mut events = String::new();
        while !events.contains("event: commit") {
            events += &reader.until("\n\n").await.expect("the stream goes on");
        }
        assert!(events.contains("id: 0000abcd-2\nevent: put"), "{events}");
    }
    drop((reader, later));
    server.stop().await;
}

#[tokio::test]
async fn a_watch_makes_room_for_a_request() {
    let store = Arc::new(MemoryStore::new(EPOCH));
    let server = Server::start_with(store, |api| api.limits.connections_per_peer = 1).await;
    let mut reader = Reader::open(server.address, "/meshes?watch=true", "").await;
    assert_eq!(reader.events(1).await, [milestone("synced", 0)]);
    assert_eq!(get(server.address, "/meshes").await.status, 200);
    assert_eq!(reader.event().await, None);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_watched_says_so() {
    let server = Server::start().await;
    commit(&server, [put_mesh("m", "")]).await;
    let accept = |media: &str| vec![("accept".to_owned(), media.to_owned())];
    for (path, headers, status, details) in [
        (
            "/meshes?watch=true&size=1",
            vec![],
            400,
            "A watch cannot be combined with size: it tells of all of a list.",
        ),
        (
            "/meshes?watch=true&tag=a:b",
            vec![],
            400,
            "A watch cannot be combined with tag: it tells of all of a list.",
        ),
        ("/meshes?watch=1", vec![], 400, "watch is true or false."),
        (
            "/meshes?watch=true&since=1",
            vec![],
            400,
            "since, or Last-Event-ID, is a revision as Kuma-Revision and the ids of events have it.",
        ),
        (
            "/dataplanes+insights?watch=true",
            vec![],
            400,
            "Only resources and their collections can be watched: what is known of proxies has no revisions.",
        ),
        (
            "/meshes?watch=true",
            accept("application/json"),
            406,
            "A watch is answered as text/event-stream: ask for it in Accept.",
        ),
    ] {
        let reply = ask(server.address, &format!("GET {path}"), &headers, None).await;
        assert_eq!((reply.status, &reply.json()["details"]), (status, &json!(details)), "{path}");
    }
    let head = ask(server.address, "HEAD /meshes?watch=true", &accept("text/event-stream"), None).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    server.stop().await;
}
