//! Inspections of proxies, of which the server is told what it says in every field.

use std::sync::{Arc, Condvar, Mutex};

use api::{
    Acknowledged, Detail, Inspect, InspectedCertificate, InspectedResource, InspectedStream, Inspection,
    Protocol, ResourceState, Source,
};
use model::{Key, Kind, ProxyId, Timestamp};
use serde_json::{Value, json};
use store::{MemoryStore, Revision, Store};

use crate::{
    client::{ask, get, put},
    server::{EPOCH, Server},
};

/// Says the same of every Dataplane that is there.
pub(crate) struct CannedInspector {
    pub(crate) store: Arc<dyn Store>,
}

/// 2026-01-01T00:00:01.5Z.
const AT: Timestamp = Timestamp { seconds: 1_767_225_601, nanos: 500_000_000 };

const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";

impl Inspect for CannedInspector {
    fn inspect(&self, proxy: &ProxyId, detail: Detail) -> Option<Inspection> {
        self.store.present().get(&proxy.dataplane())?;
        let rejected = InspectedResource {
            type_url: LISTENER,
            name: "outbound:127.0.0.1:9000".into(),
            version: Some("0123456789abcdef".into()),
            state: ResourceState::Rejected,
            acknowledged: Some(Acknowledged { version: "fedcba9876543210".into(), at: AT }),
            error: Some("cannot bind '127.0.0.1:9000': Address already in use".into()),
            sources: vec![source(proxy.dataplane(), 2), source(Key::mesh(proxy.mesh.clone()), 1)],
            content: (detail == Detail::Full)
                .then(|| json!({"@type": LISTENER, "name": "outbound:127.0.0.1:9000"})),
        };
        let many = (0..102).map(|i| source(Key::new(Kind::Dataplane, "demo", format!("backend-{i:03}")), 3));
        let many = InspectedResource {
            state: ResourceState::NotSent,
            acknowledged: None,
            error: None,
            sources: many.collect(),
            ..rejected.clone()
        };
        let leaving = InspectedResource {
            version: None,
            state: ResourceState::Removing,
            error: None,
            sources: Vec::new(),
            content: None,
            ..rejected.clone()
        };
        let stream = InspectedStream {
            id: "426fe0d8-f667-11e9-b081-acde48001122".to_owned(),
            protocol: Protocol::Delta,
            connected_at: AT,
            last_update_at: Some(AT),
        };
        let certificate = InspectedCertificate {
            services: vec!["web".to_owned()],
            not_after: AT,
            renew_at: AT,
            ca: "0123456789abcdef".to_owned(),
            fingerprint: "0123456789abcdef0123456789abcdef".to_owned(),
        };
        Some(Inspection {
            revision: Revision { epoch: EPOCH, number: 7 },
            streams: vec![InspectedStream { last_update_at: None, ..stream.clone() }, stream],
            certificate: Some(certificate),
            resources: vec![rejected, many, leaving],
            warnings: vec!["cluster backend: it has no endpoints".to_owned()],
        })
    }
}

fn source(key: Key, number: u64) -> Source {
    Source { key, revision: Revision { epoch: EPOCH, number } }
}

async fn server_with_a_dataplane() -> Server {
    let server = Server::start().await;
    put(server.address, "/meshes/demo", r#"{"type":"Mesh","name":"demo"}"#).await;
    let web = r#"{"type":"Dataplane","mesh":"demo","name":"web",
        "networking":{"inbound":[{"interface":"10.0.0.1:80:80","tags":{"service":"web"}}]}}"#;
    assert_eq!(put(server.address, "/meshes/demo/dataplanes/web", web).await.status, 201);
    server
}

#[tokio::test]
async fn everything_that_is_known_is_said() {
    let server = server_with_a_dataplane().await;
    let reply = get(server.address, "/meshes/demo/dataplanes/web/xds").await;
    assert_eq!((reply.status, reply.header("kuma-revision")), (200, Some("0000abcd-7")));
    let mut body = reply.json();
    let resources = body["resources"].take();
    assert_eq!(
        body,
        json!({
            "type": "DataplaneInspection", "mesh": "demo", "name": "web",
            "revision": "0000abcd-7",
            "online": true,
            "streams": [
                {"id": "426fe0d8-f667-11e9-b081-acde48001122", "protocol": "delta", "connectedAt": "2026-01-01T00:00:01.500Z"},
                {
                    "id": "426fe0d8-f667-11e9-b081-acde48001122", "protocol": "delta",
                    "connectedAt": "2026-01-01T00:00:01.500Z", "lastUpdateAt": "2026-01-01T00:00:01.500Z",
                },
            ],
            "certificate": {
                "services": ["web"], "notAfter": "2026-01-01T00:00:01.500Z", "renewAt": "2026-01-01T00:00:01.500Z",
                "ca": "0123456789abcdef", "fingerprint": "0123456789abcdef0123456789abcdef",
            },
            "resources": null,
            "warnings": ["cluster backend: it has no endpoints"],
        })
    );
    assert_eq!(
        resources[0],
        json!({
            "type": "Listener", "typeUrl": LISTENER, "name": "outbound:127.0.0.1:9000",
            "version": "0123456789abcdef",
            "state": "rejected",
            "acknowledged": {"version": "fedcba9876543210", "at": "2026-01-01T00:00:01.500Z"},
            "error": "cannot bind '127.0.0.1:9000': Address already in use",
            "sources": [
                {"type": "Dataplane", "mesh": "demo", "name": "web", "revision": "0000abcd-2"},
                {"type": "Mesh", "name": "demo", "revision": "0000abcd-1"},
            ],
        })
    );
    assert_eq!((&resources[1]["state"], &resources[1]["moreSources"]), (&json!("notSent"), &json!(2)));
    assert_eq!(resources[1]["sources"].as_array().map(Vec::len), Some(100));
    assert_eq!((&resources[2]["state"], resources[2].get("version")), (&json!("removing"), None));
}

#[tokio::test]
async fn contents_are_shown_to_who_asks_for_them() {
    let server = server_with_a_dataplane().await;
    let content = |reply: crate::client::Reply| reply.json()["resources"][0].get("content").cloned();
    let path = "/meshes/demo/dataplanes/web/xds";
    let full = json!({"@type": LISTENER, "name": "outbound:127.0.0.1:9000"});
    for (query, expected) in [("", None), ("?full=false", None), ("?full=true", Some(&full))] {
        assert_eq!(
            content(get(server.address, &format!("{path}{query}")).await).as_ref(),
            expected,
            "{query}"
        );
    }
    let reply = get(server.address, &format!("{path}?full=yes")).await;
    assert_eq!((reply.status, reply.json()["details"].clone()), (400, json!("full is true or false.")));

    let yaml = [("accept".to_owned(), "application/yaml".to_owned())];
    let yaml = ask(server.address, &format!("GET {path}?full=true"), &yaml, None).await;
    let yaml: Value = serde_saphyr::from_str(&yaml.body).expect("it is YAML");
    assert_eq!(yaml["resources"][0]["content"], full);
}

#[tokio::test]
async fn there_is_nothing_to_inspect_without_a_dataplane_nor_to_watch_or_to_change() {
    let server = server_with_a_dataplane().await;
    let not_found = json!({"title": "Could not retrieve a resource", "details": "Not found"});
    for path in ["/meshes/demo/dataplanes/nobody/xds", "/meshes/nowhere/dataplanes/web/xds"] {
        let reply = get(server.address, path).await;
        assert_eq!((reply.status, reply.json()), (404, not_found.clone()), "{path}");
    }
    let watch = get(server.address, "/meshes/demo/dataplanes/web/xds?watch=true").await;
    assert_eq!(watch.status, 400);
    let put = put(server.address, "/meshes/demo/dataplanes/web/xds", "{}").await;
    assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD")));
}

/// Keeps whoever inspects until it is opened.
#[derive(Default)]
struct Gate {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Default)]
struct Inside {
    now: usize,
    most: usize,
    is_open: bool,
}

impl Gate {
    fn open(&self) {
        self.inside.lock().expect("no test panics while it holds the lock").is_open = true;
        self.changed.notify_all();
    }

    /// Waits until so many are inside.
    fn wait_for(&self, many: usize) {
        let inside = self.inside.lock().expect("no test panics while it holds the lock");
        drop(self.changed.wait_while(inside, |it| it.now < many).expect("no test panics in here"));
    }
}

impl Inspect for Gate {
    fn inspect(&self, _: &ProxyId, _: Detail) -> Option<Inspection> {
        let mut inside = self.inside.lock().expect("no test panics while it holds the lock");
        inside.now += 1;
        inside.most = inside.most.max(inside.now);
        self.changed.notify_all();
        inside = self.changed.wait_while(inside, |it| !it.is_open).expect("no test panics in here");
        inside.now -= 1;
        None
    }
}

#[tokio::test]
async fn two_are_inspected_at_a_time_and_the_others_wait() {
    let gate = Arc::new(Gate::default());
    let server =
        Server::start_with(Arc::new(MemoryStore::new(EPOCH)), |api| api.inspector = gate.clone()).await;
    let address = server.address;
    let asked: Vec<_> = (0..5)
        .map(|_| tokio::spawn(async move { get(address, "/meshes/demo/dataplanes/web/xds").await.status }))
        .collect();
    let waiting = gate.clone();
    tokio::task::spawn_blocking(move || waiting.wait_for(2)).await.expect("the test does not panic");
    // Whoever does not inspect is answered meanwhile, after all that had arrived.
    for _ in 0..10 {
        assert_eq!(get(address, "/meshes").await.status, 200);
    }
    gate.open();
    for asked in asked {
        assert_eq!(asked.await.expect("the test does not panic"), 404);
    }
    assert_eq!(gate.inside.lock().expect("no test panics while it holds the lock").most, 2);
}
