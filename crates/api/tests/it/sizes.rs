//! Much of everything. Where only time can tell, the size is such that quadratic work would take far longer than the
//! deadline, and linear work a small part of it.

use std::{net::SocketAddr, sync::Arc};

use model::{Inbound, Key, Kind, Mesh, Spec, kinds::dataplane::Networking};
use serde_json::{Value, json};
use store::{MemoryStore, Store, Transaction, Write};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    client::{DEADLINE, get, parse, put},
    server::{EPOCH, Server},
};

const TEN_MB: usize = 10 * 1024 * 1024;

/// Writes all that the server takes and reads meanwhile, as clients do; then the answer.
async fn upload(address: SocketAddr, head: String, body: Vec<u8>) -> String {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let (mut reading, mut writing) = stream.into_split();
    let uploading = tokio::spawn(async move {
        // It may be cut off.
        let _ = writing.write_all(head.as_bytes()).await;
        let _ = writing.write_all(&body).await;
        // Given back, because its end would be that of the client.
        writing
    });
    let mut answer = Vec::new();
    // A reset behind the answer is an end of it.
    let _ = timeout(DEADLINE, reading.read_to_end(&mut answer)).await.expect("the server answers in time");
    drop(timeout(DEADLINE, uploading).await.expect("the server does not let a client hang"));
    String::from_utf8(answer).expect("answers are UTF-8")
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_with_the_limit_and_the_server_goes_on() {
    let server = Server::start().await;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for target in ["PUT /meshes/demo", "POST /transactions", "POST /tokens", "POST /bootstrap"] {
        for (framing, body) in [
            (format!("content-length: {TEN_MB}"), " ".repeat(TEN_MB)),
            ("transfer-encoding: chunked".to_owned(), chunk.repeat(TEN_MB / 0x10000) + "0\r\n\r\n"),
        ] {
            let head = format!(
                "{target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
            );
            let answer = upload(server.address, head, body.into_bytes()).await;
            assert!(!answer.is_empty(), "{target}, {framing}: the connection was cut before the answer");
            let reply = parse(&answer);
            assert_eq!(reply.status, 413, "{target}, {framing}");
            assert_eq!(reply.json()["details"], "The body is larger than 4194304 bytes.");
        }
    }
    assert_eq!(get(server.address, "/meshes").await.status, 200);
}

/// As many as fit into a body, ten times the ten thousand of a large mesh: no two on one address, or all.
#[tokio::test]
async fn many_outbounds_are_judged_in_time_that_grows_with_their_number() {
    const OUTBOUNDS: usize = 90_000;
    let server = Server::start().await;
    put(server.address, "/meshes/demo", r#"{"type":"Mesh","name":"demo"}"#).await;
    let dataplane = |interface: fn(usize) -> String| {
        let outbounds: Vec<String> = (0..OUTBOUNDS)
            .map(|i| format!("{{\"interface\":\"{}\",\"service\":\"a\"}}", interface(i)))
            .collect();
        format!(
            "{{\"type\":\"Dataplane\",\"mesh\":\"demo\",\"name\":\"web\",\"networking\":{{\"inbound\":[{{\"interface\":\
             \"10.0.0.1:80:80\",\"tags\":{{\"service\":\"web\"}}}}],\"outbound\":[{}]}}}}",
            outbounds.join(",")
        )
    };
    let path = "/meshes/demo/dataplanes/web";
    let all_on_one = put(server.address, path, &dataplane(|_| ":80".to_owned())).await;
    assert_eq!(all_on_one.status, 400);
    let causes = all_on_one.json()["causes"].as_array().map_or(0, Vec::len);
    assert_eq!(causes, OUTBOUNDS - 1, "each but the first");
    let each_alone =
        put(server.address, path, &dataplane(|i| format!("1.1.{}.1:{}", i / 60_000, 1 + i % 60_000))).await;
    assert_eq!(each_alone.status, 201, "{}", each_alone.body);
    let stored = get(server.address, path).await.json();
    assert_eq!(stored["networking"]["outbound"].as_array().map_or(0, Vec::len), OUTBOUNDS);
}

/// A hundred thousand Dataplanes, of which ten are of each service.
async fn large_store() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new(EPOCH));
    let mesh = Write::Put(Key::mesh("demo"), Arc::new(Spec::Mesh(Mesh::default())));
    let dataplanes = (0..DATAPLANES).map(|i| {
        let tags = [("service".to_owned(), format!("s-{}", i % (DATAPLANES / 10)))].into();
        let inbound = Inbound { interface: "10.0.0.1:80:8080".to_owned(), tags: Some(tags) };
        let networking = Networking { inbound: Some(vec![inbound]), ..Networking::default() };
        let dataplane = model::Dataplane { networking: Some(networking) };
        Write::Put(
            Key::new(Kind::Dataplane, "demo", format!("dp-{i:06}")),
            Arc::new(Spec::Dataplane(dataplane)),
        )
    });
    let writes: Vec<Write> = std::iter::once(mesh).chain(dataplanes).collect();
    for writes in writes.chunks(1000) {
        let transaction = Transaction { writes: writes.to_vec(), ..Transaction::default() };
        store.commit(transaction).await.expect("memory takes it");
    }
    store
}

const DATAPLANES: usize = 100_000;

#[tokio::test]
async fn a_mesh_of_a_hundred_thousand_is_listed_whole_and_costs_a_request_no_more_than_a_small_one() {
    // If each looked at every Dataplane, a tenth of these would be beyond the deadline.
    const REQUESTS: usize = 1_000;
    let server = Server::start_with(large_store().await, |_| {}).await;
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().expect("a list has items");
        items.iter().map(|item| item["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let all = names(&get(server.address, "/meshes/demo/dataplanes").await.json());
    assert_eq!(all.len(), DATAPLANES);
    assert!(all.is_sorted_by(|a, b| a < b));

    let requests = async {
        for i in 0..REQUESTS {
            let path = format!("/meshes/demo/dataplanes/dp-{:06}", i * (DATAPLANES / REQUESTS));
            let mut dataplane = get(server.address, &path).await.json();
            dataplane["networking"]["inbound"][0]["interface"] = json!("10.0.0.2:80:8080");
            assert_eq!(put(server.address, &path, &dataplane.to_string()).await.status, 200);
            let of_service = format!("/meshes/demo/dataplanes?tag=service:s-{i}");
            assert_eq!(names(&get(server.address, &of_service).await.json()).len(), 10);
        }
    };
    timeout(DEADLINE, requests).await.expect("a request costs what it touches, and not what there is");
    let page = get(server.address, "/meshes/demo/dataplanes?size=3&offset=99998").await.json();
    assert_eq!((names(&page), &page["total"]), (all[99_998..].to_vec(), &json!(DATAPLANES)));
}
