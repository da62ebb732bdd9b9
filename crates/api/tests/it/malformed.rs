//! Bodies that mean harm or make no sense: each is refused with the place, in JSON and in YAML, wherever a body is read.

use crate::{
    client::{Reply, ask, get, send},
    server::Server,
};

const DEEP: usize = 10_000;

/// A billion laughs: ten of ten of ten…
fn laughs() -> Vec<u8> {
    let line = |level: usize| {
        let before = format!("*a{}", level - 1);
        format!("a{level}: &a{level} [{}]", vec![before; 10].join(", "))
    };
    let lines: Vec<String> = std::iter::once("a0: &a0 ha".to_owned()).chain((1..12).map(line)).collect();
    lines.join("\n").into_bytes()
}

/// Of a body that has this field.
fn both(field: &str) -> Vec<(&'static str, Vec<u8>)> {
    let nested = |open: &str, close: &str| {
        format!("{{\"{field}\":{}1{}}}", open.repeat(DEEP), close.repeat(DEEP)).into_bytes()
    };
    let text = |text: &str| text.replace("type", field).into_bytes();
    vec![
        ("lists within each other", nested("[", "]")),
        ("objects within each other", nested("{\"a\":", "}")),
        ("no UTF-8 in a value", [b"{\"", field.as_bytes(), b"\":\"\xff\"}"].concat()),
        ("no UTF-8 at all", b"\xff\xfe{\x00}\x00".to_vec()),
        ("half of a surrogate pair", text(r#"{"type":"\ud800"}"#)),
        ("a key twice", text(r#"{"type":"Mesh","type":"Mesh"}"#)),
        ("something behind the end", text(r#"{"type":"Mesh"} {"#)),
        ("an end in the middle", text(r#"{"type":"Mesh""#)),
        ("a list", text("[]")),
        ("a zero byte", text("{\"type\":\"Mesh\"\0}")),
    ]
}

fn yaml_only() -> Vec<(&'static str, Vec<u8>)> {
    let blocks: Vec<String> = (0..500).map(|depth| format!("{:depth$}a:", "")).collect();
    vec![
        ("an alias bomb", laughs()),
        ("an alias of nothing", b"type: *nothing".to_vec()),
        ("an alias of itself", b"a: &a [*a]".to_vec()),
        ("two documents", b"type: Mesh\n---\ntype: Mesh\n".to_vec()),
        ("a tab as indentation", b"mtls:\n\tenabled: true".to_vec()),
        ("blocks within each other", blocks.join("\n").into_bytes()),
    ]
}

#[tokio::test]
async fn what_is_malformed_is_refused_with_its_place() {
    let server = Server::start().await;
    let mut asked = 0;
    for (target, field, is_yaml_read) in [
        ("PUT /meshes/demo", "type", true),
        ("POST /transactions", "operations", true),
        ("POST /tokens", "mesh", false),
        ("POST /bootstrap", "mesh", false),
    ] {
        let json = both(field).into_iter().map(|(what, body)| ("application/json", what, body));
        let yaml = both(field).into_iter().chain(yaml_only());
        let yaml = yaml.map(|(what, body)| ("application/yaml", what, body));
        for (media, what, body) in json.chain(yaml.filter(|_| is_yaml_read)) {
            let told = format!("{target}: {what} in {media}");
            let reply = send_body(&server, target, media, &body).await;
            assert_eq!(reply.status, 400, "{told}: {}", reply.body);
            assert_tells_the_place(&reply, &told);
            asked += 1;
        }
    }
    assert!(asked > 60, "{asked}");
    assert_eq!(server.store.present().revision().number, 0);
    assert_eq!(get(server.address, "/meshes").await.body, r#"{"items":[]}"#);
}

/// Where a number is wanted. Where text is wanted, YAML takes it for text.
#[tokio::test]
async fn a_number_that_no_field_can_hold_is_refused_with_its_place() {
    let server = Server::start().await;
    for number in [
        "4294967296",
        "18446744073709551616",
        "-1",
        "-9223372036854775809",
        "1e999",
        "10.0",
        "1e1",
        &"9".repeat(400),
    ] {
        let route = format!(r#"{{"type":"TrafficRoute","conf":[{{"weight":{number}}}]}}"#);
        let proxy = format!(r#"{{"mesh":"demo","name":"web","adminPort":{number}}}"#);
        for (target, media, body) in [
            ("PUT /meshes/demo/traffic-routes/r", "application/json", &route),
            ("PUT /meshes/demo/traffic-routes/r", "application/yaml", &route),
            ("POST /bootstrap", "application/json", &proxy),
        ] {
            let reply = send_body(&server, target, media, body.as_bytes()).await;
            assert_eq!(reply.status, 400, "{target}: {number} in {media}: {}", reply.body);
            assert_tells_the_place(&reply, &format!("{target}: {number} in {media}"));
        }
    }
}

async fn send_body(server: &Server, target: &str, media: &str, body: &[u8]) -> Reply {
    let head = format!(
        "{target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    send(server.address, &[head.as_bytes(), body].concat()).await
}

fn assert_tells_the_place(reply: &Reply, told: &str) {
    let error = reply.json();
    let details = error["details"].as_str().unwrap_or_default();
    assert!(details.contains(" at line ") && details.contains(" column "), "{told}: {details}");
    assert!(details.len() < 1000 && !details.contains('\n'), "{told}: {details}");
}

#[tokio::test]
async fn what_is_repeated_of_a_body_stays_small() {
    let server = Server::start().await;
    let key = "k\\n".repeat(500_000);
    let reply =
        ask(server.address, "PUT /meshes/demo", &[], Some(&format!("{{\"mtls\":{{\"{key}\":1}}}}"))).await;
    assert_eq!(reply.status, 400);
    let details = reply.json()["details"].as_str().unwrap_or_default().to_owned();
    assert!(
        details.len() < 4000 && !details.contains('\n') && details.contains(" at line 1 column "),
        "{details}"
    );
}
