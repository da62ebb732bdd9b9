//! `GET /openapi.json` against the server itself: what it promises is asked for, and every answer is held against it.

mod contract;
mod requests;
mod structure;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
    time::Duration,
};

use api::{NewTokenKey, TokenKeys as _};
use futures_util::future::join_all;
use model::{DataplaneInsight, Key, Kind, Scope};
use serde_json::{Value, json};
use store::{MemoryStore, TokenChange, Transaction, Write};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use self::{
    contract::{Contract, METHODS, Operation, object},
    requests::{Before, Of, Request, requests},
};
use crate::{
    client::{DEADLINE, Reply, ask, parse},
    server::{EPOCH, Server},
};

/// What no request brings about: it would take a fault of the server's own. `faults` has its shape.
const UNFORESEEN: u16 = 500;

/// The example of every kind, and what is known of the Dataplane's proxy.
async fn populate(server: &Server) {
    let puts = Kind::ALL.iter().map(|&kind| {
        let document = kind.read_document(kind.example()).expect("the example can be read");
        let key = Key::new(kind, document.envelope.mesh.as_str(), document.envelope.name.as_str());
        Write::Put(key, Arc::new(document.spec))
    });
    let transaction = Transaction { writes: puts.collect(), ..Transaction::default() };
    server.store.commit(transaction).await.expect("memory takes it");

    let example = Kind::Dataplane.example();
    let text = |field: &str| example[field].as_str().expect("it is text");
    let time = "2019-10-24T14:04:56.820350Z";
    let insight: DataplaneInsight = serde_json::from_value(json!({"subscriptions": [{
        "id": "1", "controlPlaneInstanceId": "2", "connectTime": time,
        "status": {"lastUpdateTime": time, "total": {"responsesSent": "3"}, "cds": {}},
    }]}))
    .expect("it is an insight");
    let key = Key::new(Kind::Dataplane, text("mesh"), text("name"));
    server.store.put_insights(vec![(key, insight)]).await.expect("memory takes it");
}

/// In which everything is that is asked about.
fn mesh_of_example() -> String {
    Kind::Dataplane.example()["mesh"].as_str().expect("it is text").to_owned()
}

/// The kid of a key that can be retired: a younger one signs.
async fn oldest_key(server: &Server) -> String {
    let NewTokenKey { kid, sealed } = server.token_keys.generate().expect("there is randomness");
    let tokens = server.store.present().tokens().clone();
    let keys = tokens.keys();
    if keys.len() < 2 {
        let put = TokenChange::PutKey { kid, sealed };
        server.store.change_tokens(put, 0).await.expect("memory takes it");
    }
    keys[0].0.to_string()
}

struct Servers {
    able: Server,
    read_only: Server,
    hurried: Server,
}

impl Servers {
    async fn start() -> Self {
        let store = || Arc::new(MemoryStore::new(EPOCH));
        let read_only = Server::start_with(store(), |api| {
            api.read_only = Some("Use kubectl.".to_owned());
            api.tokens_enabled = false;
        });
        let hurried =
            Server::start_with(store(), |api| api.limits.body_read_timeout = Duration::from_millis(1));
        Self { able: Server::start().await, read_only: read_only.await, hurried: hurried.await }
    }

    async fn ask(&self, operation: Operation<'_>, request: &Request) -> Reply {
        let server = match request.of {
            Of::Able => &self.able,
            Of::ReadOnly => &self.read_only,
            Of::Hurried => &self.hurried,
        };
        populate(server).await;
        let path = request.path.replace("{kid}", &oldest_key(server).await);
        let path = path.replace("{id}", &server.mesh_cas.spare(&mesh_of_example()));
        if request.before == Before::Deleted {
            let reply = ask(server.address, &format!("DELETE {path}"), &[], None).await;
            assert_eq!(reply.status, 200);
        }
        let line = format!("{} {path}", operation.method);
        ask(server.address, &line, &request.headers, request.body.as_deref()).await
    }
}

#[tokio::test]
async fn every_status_that_is_described_occurs_and_every_answer_is_as_described() {
    let servers = Servers::start().await;
    let contract = Contract::fetch(&servers.able).await;
    let mut failures = String::new();
    let mut never = BTreeMap::new();
    for operation in contract.operations() {
        let mut missing: BTreeSet<u16> = Contract::statuses(operation).into_iter().collect();
        for request in requests(&contract, operation) {
            let reply = servers.ask(operation, &request).await;
            missing.remove(&reply.status);
            let mut faults = contract.faults(operation, &reply);
            if !request.is_right(reply.status) {
                faults.push(format!("expected {:?}, got {}", request.status, reply.status));
            }
            for fault in faults {
                let _ = writeln!(failures, "{operation}: {request}: {fault}");
            }
        }
        missing.remove(&UNFORESEEN);
        never.insert(operation.to_string(), missing);
    }
    // Each of these waits for as long as the server has patience, so all do at once.
    let late = contract.operations().into_iter().map(|operation| late(&contract, &servers, operation));
    for (operation, reply) in join_all(late).await {
        never.entry(operation.to_string()).or_default().remove(&reply.status);
        for fault in contract.faults(operation, &reply) {
            let _ = writeln!(failures, "{operation}: a revision that does not come: {fault}");
        }
    }
    never.retain(|_, missing| !missing.is_empty());
    assert!(failures.is_empty(), "\n{failures}");
    assert_eq!(never, BTreeMap::new(), "statuses that are described and do not occur");
}

/// Asks for a revision that never comes.
async fn late<'a>(
    contract: &Contract,
    servers: &Servers,
    operation: Operation<'a>,
) -> (Operation<'a>, Reply) {
    let mut request = requests(contract, operation).swap_remove(0);
    request.headers.push(("kuma-min-revision".to_owned(), format!("{EPOCH:08x}-99999999")));
    let line = format!("{} {}", operation.method, request.path);
    let reply = ask(servers.able.address, &line, &request.headers, request.body.as_deref()).await;
    (operation, reply)
}

/// Whatever a schema leaves open would not be noticed.
#[tokio::test]
async fn a_field_that_is_not_described_is_noticed() {
    const OPEN: [&str; 2] = ["/config", "/openapi.json"];
    let server = Server::start().await;
    populate(&server).await;
    let contract = Contract::fetch(&server).await;
    let reads = contract.operations().into_iter().filter(|operation| operation.method == "GET");
    for operation in reads.filter(|operation| !OPEN.contains(&operation.path)) {
        // What succeeds, and the first of what is refused.
        for request in requests(&contract, operation).into_iter().take(2) {
            let line = format!("GET {}", request.path);
            let mut reply = ask(server.address, &line, &request.headers, None).await;
            if reply.header("content-type") != Some("application/json") {
                continue;
            }
            assert_eq!(contract.faults(operation, &reply), Vec::<String>::new(), "{operation}");
            let mut body = reply.json();
            body["unforeseen"] = json!(1);
            reply.body = body.to_string();
            assert_ne!(contract.faults(operation, &reply), Vec::<String>::new(), "{operation}");
            reply.headers.insert("x-unforeseen".to_owned(), "1".to_owned());
            assert!(contract.faults(operation, &reply).contains(&"has the header x-unforeseen".to_owned()));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn events_are_as_described() {
    let server = Server::start().await;
    populate(&server).await;
    let mesh = Kind::Mesh.example()["name"].as_str().expect("it is text").to_owned();
    let delete = Transaction { writes: vec![Write::Delete(Key::mesh(mesh))], ..Transaction::default() };
    server.store.commit(delete).await.expect("memory takes it");
    populate(&server).await;

    let contract = Contract::fetch(&server).await;
    let mut watches = 0;
    for operation in contract.operations() {
        if operation.method != "GET" || !contract.takes(operation, "watch") {
            continue;
        }
        watches += 1;
        let [request, ..] = &requests(&contract, operation)[..] else { panic!("nothing is asked") };
        // What is there now, and everything that has ever been.
        for (query, expected) in [
            ("watch=true", &["put", "synced"][..]),
            ("watch=true&since=0000abcd-0", &["put", "delete", "commit"]),
        ] {
            let reply = watch(&server, &format!("{}?{query}", request.path), expected).await;
            assert_eq!(contract.faults(operation, &reply), Vec::<String>::new(), "{operation}");
            let media =
                &contract.response(operation, 200).expect("it can be done")["content"]["text/event-stream"];
            for (event, data) in events(&reply.body) {
                let faults = contract.schema_faults(&media["x-event-data"][&event], &data);
                assert_eq!(faults, Vec::<String>::new(), "{operation}: {event}: {data}");
            }
        }
    }
    // The lists across meshes and, of what lives in a mesh, those in one; and the items.
    let per_kind = |kind: &Kind| if kind.scope() == Scope::Mesh { 3 } else { 2 };
    assert_eq!(watches, Kind::ALL.iter().map(per_kind).sum::<usize>());
}

/// The answer up to the point where each of these events has come.
async fn watch(server: &Server, path: &str, expected: &[&str]) -> Reply {
    let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
    // HTTP/1.0, so that the events come as they are, without chunks.
    let request = format!("GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let reading = async {
        let mut answer = String::new();
        while !expected.iter().all(|event| answer.contains(&format!("event: {event}\n")))
            || !answer.ends_with("\n\n")
        {
            let mut bytes = vec![0; 64 * 1024];
            let read = stream.read(&mut bytes).await.expect("the server goes on");
            assert_ne!(read, 0, "{path} ends before {expected:?}: {answer}");
            answer += std::str::from_utf8(&bytes[..read]).expect("events are ASCII here");
        }
        answer
    };
    parse(&timeout(DEADLINE, reading).await.expect("the events come in time"))
}

/// Each with its name and its data.
fn events(stream: &str) -> Vec<(String, Value)> {
    let event = |text: &str| {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let data = serde_json::from_str(field("data").expect("an event has data"));
        (field("event").expect("an event has a name").to_owned(), data.expect("data is JSON"))
    };
    stream.split_terminator("\n\n").map(event).collect()
}

#[tokio::test]
async fn every_kind_has_its_paths() {
    let server = Server::start().await;
    let contract = Contract::fetch(&server).await;
    let methods = |path: &str| -> Vec<&str> {
        let operations = contract.operations().into_iter().filter(|operation| operation.path == path);
        operations.map(|operation| operation.method).collect()
    };
    for kind in Kind::ALL {
        let segment = kind.path();
        assert_eq!(methods(&format!("/{segment}")), ["GET", "HEAD"]);
        let item = match kind.scope() {
            Scope::Global => format!("/{segment}/{{name}}"),
            Scope::Mesh => {
                assert_eq!(methods(&format!("/meshes/{{mesh}}/{segment}")), ["GET", "HEAD"]);
                format!("/meshes/{{mesh}}/{segment}/{{name}}")
            }
        };
        assert_eq!(methods(&item), ["GET", "HEAD", "PUT", "DELETE"]);
    }
    server.stop().await;
}

/// PATCH does nothing anywhere: where something is, the answer says what would do, and elsewhere that nothing is there.
#[tokio::test]
async fn the_server_has_the_paths_and_methods_that_are_described_and_no_others() {
    let server = Server::start().await;
    let contract = Contract::fetch(&server).await;
    let templates: Vec<&String> = object(&contract.document["paths"]).keys().collect();
    for path in imaginable(&templates) {
        let reply = ask(server.address, &format!("PATCH {path}"), &[], None).await;
        let template = templates.iter().find(|template| fits(template, &path));
        let Some(template) = template else {
            assert_eq!(reply.status, 404, "{path} is not described");
            continue;
        };
        let allowed: BTreeSet<_> = reply.header("allow").unwrap_or_default().split(", ").collect();
        let item = &contract.document["paths"][template.as_str()];
        let described = METHODS.into_iter().filter(|method| item.get(method.to_lowercase()).is_some());
        assert_eq!((reply.status, allowed), (405, described.collect()), "{path}");
    }
    server.stop().await;
}

/// Paths of up to six segments, of the words that there are in paths and one that there is not.
fn imaginable(templates: &[&String]) -> Vec<String> {
    let words = templates.iter().flat_map(|template| template.split('/'));
    let mut words: BTreeSet<&str> = words.filter(|word| !word.is_empty() && !word.starts_with('{')).collect();
    words.insert("nothing");
    let alone = words.iter().map(|word| format!("/{word}"));
    let pairs = words.iter().flat_map(|word| words.iter().map(move |other| format!("/{word}/{other}")));
    let in_a_mesh = words.iter().flat_map(|word| {
        let within = ["", "/x", "/x/nothing", "/x/xds", "/x/xds/x", "/x/signing"];
        within.map(|rest| format!("/meshes/m/{word}{rest}"))
    });
    ["/".to_owned()].into_iter().chain(alone).chain(pairs).chain(in_a_mesh).collect()
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template.zip(path).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
}
