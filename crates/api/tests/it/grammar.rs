//! Requests made up from seeds: of every route and method, good ones, and ones with something wrong at any place.

use std::collections::BTreeMap;

use fastrand::Rng;
use fuzz_targets::inputs;
use model::{Kind, Scope};
use serde_json::{Value, json};

use crate::exchange::request;

pub(crate) const MESHES: [&str; 3] = ["default", "demo", "m_2"];
const NAMES: [&str; 4] = ["web", "api-1", "x", "dataplanes"];

/// Names that nothing can have, and paths that nobody should ask for.
const STRANGE_SEGMENTS: [&str; 12] =
    ["", "%2F", "a%2Fb", "%C3%A9", "%zz", "%FF", "%00", "UPPER", "..", "%2e%2e", "a+b", "a%20b"];

const METHODS: [&str; 8] = ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", "BREW"];

const QUERIES: [&str; 16] = [
    "tag=service:web",
    "tag=service:web&tag=version:*",
    "tag=%zz&tag",
    "size=2",
    "size=2&offset=1",
    "size=0",
    "size=-1&offset=18446744073709551616",
    "name=e",
    "name=%FF",
    "watch=true",
    "watch=true&since=0000abcd-1",
    "watch=true&since=12345678-1",
    "watch=maybe",
    "full=true",
    "dryRun=yes",
    "a=b&&=&c",
];

/// Revisions that are here, or are of another store: one that is to come would be waited for.
const HEADERS: [(&str, &str); 26] = [
    ("accept", "application/json"),
    ("accept", "application/yaml"),
    ("accept", "text/html, */*;q=0.1"),
    ("accept", "text/html"),
    ("accept", "text/event-stream"),
    ("accept", ";;q=,"),
    ("if-match", "*"),
    ("if-match", "\"0000abcd-1\""),
    ("if-match", "garbage"),
    ("if-none-match", "*"),
    ("if-none-match", "\"0000abcd-1\", W/\"0000abcd-2\""),
    ("kuma-min-revision", "0000abcd-0"),
    ("kuma-min-revision", "12345678-1"),
    ("kuma-min-revision", "-1"),
    ("last-event-id", "0000abcd-1"),
    ("host", "evil.example"),
    ("host", "a b"),
    ("origin", "https://evil.example"),
    ("sec-fetch-site", "cross-site"),
    ("access-control-request-method", "PUT"),
    ("content-type", "text/plain"),
    ("content-type", "application/json;charset=latin1"),
    ("content-encoding", "gzip"),
    ("expect", "100-continue"),
    ("transfer-encoding", "chunked"),
    ("x-forwarded-for", "10.0.0.1"),
];

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    /// The path and the query.
    pub(crate) target: String,
    pub(crate) is_yaml: bool,
    pub(crate) is_dry_run: bool,
    /// What the server is to understand.
    pub(crate) body: Vec<u8>,
    /// What it is sent.
    pub(crate) bytes: Vec<u8>,
    pub(crate) framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As HTTP wants it, with a length or in chunks.
    Right,
    /// The bytes end too early, or go on where they should not.
    Wrong,
}

pub(crate) fn asked(rng: &mut Rng) -> Asked {
    match rng.u8(..20) {
        0 => elsewhere(rng),
        1 => post(rng, "/tokens", &json!({"mesh": "demo", "name": "web", "validFor": "1h"})),
        2 => {
            let proxy = json!({"mesh": mesh(rng), "name": name(rng), "adminPort": 9901});
            post(rng, "/bootstrap", &proxy)
        }
        3 | 4 => {
            let operations = transaction(rng);
            post(rng, "/transactions", &operations)
        }
        5..=8 => read(rng),
        9 => collection(rng),
        10 => delete(rng),
        11 => wrongly_framed(rng),
        _ => put(rng),
    }
}

fn mesh(rng: &mut Rng) -> &'static str {
    rng.choice(MESHES).unwrap_or_default()
}

fn name(rng: &mut Rng) -> &'static str {
    rng.choice(NAMES).unwrap_or_default()
}

fn kind(rng: &mut Rng) -> Kind {
    rng.choice(Kind::ALL).copied().unwrap_or(Kind::Mesh)
}

fn path_of(rng: &mut Rng, kind: Kind, mesh: &str, name: &str) -> String {
    let spellings = [&[kind.path()], kind.other_paths()].concat();
    let collection = rng.choice(&spellings).copied().unwrap_or_default();
    let collection = spelt(rng, collection);
    let slash = if rng.u8(..8) == 0 { "/" } else { "" };
    match kind.scope() {
        Scope::Global => format!("/{collection}/{}{slash}", spelt(rng, name)),
        Scope::Mesh => format!("/meshes/{}/{collection}/{}{slash}", spelt(rng, mesh), spelt(rng, name)),
    }
}

/// Now and then with a character in percent-encoding.
fn spelt(rng: &mut Rng, segment: &str) -> String {
    let encoded = rng.usize(..8 * segment.len().max(1));
    let bytes = segment.bytes().enumerate();
    bytes
        .map(|(i, byte)| if i == encoded { format!("%{byte:02X}") } else { char::from(byte).to_string() })
        .collect()
}

fn put(rng: &mut Rng) -> Asked {
    let (kind, mesh, name) = (kind(rng), mesh(rng), name(rng));
    let mut target = path_of(rng, kind, mesh, name);
    let resource = resource(rng, kind, mesh, name);
    let is_dry_run = rng.u8(..10) == 0;
    if is_dry_run {
        target.push_str("?dryRun=true");
    }
    let body = body(rng, &resource);
    Asked { is_dry_run, ..framed(rng, "PUT", target, body) }
}

fn delete(rng: &mut Rng) -> Asked {
    let (kind, mesh, name) = (kind(rng), mesh(rng), name(rng));
    // A mesh takes everything along, so it goes less often.
    let kind = if kind == Kind::Mesh && rng.bool() { Kind::Dataplane } else { kind };
    let target = match kind {
        Kind::Mesh => path_of(rng, kind, mesh, mesh),
        _ => path_of(rng, kind, mesh, name),
    };
    framed(rng, "DELETE", target, Vec::new())
}

fn post(rng: &mut Rng, path: &str, content: &Value) -> Asked {
    let is_dry_run = rng.u8(..6) == 0;
    let target = if is_dry_run { format!("{path}?dryRun=true") } else { path.to_owned() };
    let body = body(rng, content);
    Asked { is_dry_run, ..framed(rng, "POST", target, body) }
}

fn read(rng: &mut Rng) -> Asked {
    let (kind, mesh, name) = (kind(rng), mesh(rng), name(rng));
    let mut target = path_of(rng, kind, mesh, name);
    for (from, to) in [("dataplanes", "dataplanes+insights"), ("dataplanes", "dataplane-insights")] {
        if rng.u8(..6) == 0 {
            target = target.replacen(from, to, 1);
        }
    }
    if rng.u8(..6) == 0 {
        target += "/xds";
    }
    let method = if rng.u8(..6) == 0 { "HEAD" } else { "GET" };
    let target = with_query(rng, target);
    framed(rng, method, target, Vec::new())
}

fn collection(rng: &mut Rng) -> Asked {
    let (kind, mesh) = (kind(rng), mesh(rng));
    let across = rng.bool() || kind.scope() == Scope::Global;
    let target = if across { format!("/{}", kind.path()) } else { format!("/meshes/{mesh}/{}", kind.path()) };
    let target = with_query(rng, target);
    framed(rng, "GET", target, Vec::new())
}

/// Any method on any path, with a body or not.
fn elsewhere(rng: &mut Rng) -> Asked {
    const PATHS: [&str; 12] = [
        "/",
        "/catalogue",
        "/config",
        "/ca.pem",
        "/openapi.json",
        "/tokens",
        "/bootstrap",
        "/transactions",
        "/dataplanes+insights",
        "/dataplane-insights",
        "/nothing",
        "//",
    ];
    let mut target = rng.choice(PATHS).unwrap_or_default().to_owned();
    if rng.bool() {
        let mut segment = || rng.choice(STRANGE_SEGMENTS).unwrap_or_default();
        target = format!("/meshes/{}/dataplanes/{}", segment(), segment());
    }
    let method = rng.choice(METHODS).unwrap_or_default();
    let target = with_query(rng, target);
    let content = resource(rng, Kind::Mesh, "", "x");
    let body = body(rng, &content);
    framed(rng, method, target, body)
}

fn with_query(rng: &mut Rng, target: String) -> String {
    if rng.bool() { format!("{target}?{}", rng.choice(QUERIES).unwrap_or_default()) } else { target }
}

fn wrongly_framed(rng: &mut Rng) -> Asked {
    let mut asked = put(rng);
    let length = asked.bytes.len();
    match rng.u8(..3) {
        0 => asked.bytes.truncate(rng.usize(..length)),
        1 => asked.bytes = inputs::input(&[&asked.bytes], 1 + rng.u64(..)),
        _ => asked.bytes.extend_from_slice(b"\x16\x03\x01 no request\r\n\r\n"),
    }
    Asked { framing: Framing::Wrong, ..asked }
}

/// Mostly as it is; else changed somewhere, or something else altogether.
fn body(rng: &mut Rng, content: &Value) -> Vec<u8> {
    let text = content.to_string().into_bytes();
    match rng.u8(..10) {
        0 => Vec::new(),
        1 => inputs::input(&[b"garbage", b"\xff\xfe"], rng.u64(..)),
        2..=4 => inputs::input(&[&text], 1 + rng.u64(..)),
        _ => text,
    }
}

fn framed(rng: &mut Rng, method: &'static str, target: String, body: Vec<u8>) -> Asked {
    let is_yaml = rng.u8(..6) == 0;
    let media = if is_yaml { "application/yaml" } else { "application/json" };
    let mut headers: BTreeMap<String, String> =
        [("host", "localhost"), ("content-type", media)].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    if rng.u8(..3) == 0 {
        let (header, value) = rng.choice(HEADERS).unwrap_or_default();
        headers.insert(header.to_owned(), value.to_owned());
    }
    let sent = match headers.get("transfer-encoding") {
        Some(_) => in_chunks(rng, &body),
        None => body.clone(),
    };
    let bytes = request(method, &target, &headers, &sent);
    Asked { method, target, is_yaml, is_dry_run: false, body, bytes, framing: Framing::Right }
}

fn in_chunks(rng: &mut Rng, body: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rng.usize(1..=rest.len()));
        sent.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        sent.extend_from_slice(chunk);
        sent.extend_from_slice(b"\r\n");
        rest = after;
    }
    sent.extend_from_slice(b"0\r\n\r\n");
    sent
}

fn transaction(rng: &mut Rng) -> Value {
    let operations: Vec<Value> = (0..rng.usize(..5)).map(|_| operation(rng)).collect();
    json!({"operations": operations})
}

fn operation(rng: &mut Rng) -> Value {
    let (kind, mesh, name) = (kind(rng), mesh(rng), name(rng));
    if rng.u8(..3) > 0 {
        return json!({"op": "put", "resource": resource(rng, kind, mesh, name)});
    }
    match kind.scope() {
        Scope::Global => json!({"op": "delete", "type": kind.name(), "name": name}),
        Scope::Mesh => json!({"op": "delete", "type": kind.name(), "mesh": mesh, "name": name}),
    }
}

/// A valid one; of one kind and name there are a few.
fn resource(rng: &mut Rng, kind: Kind, mesh: &str, name: &str) -> Value {
    let variant = rng.u16(1..6);
    let service = rng.choice(["web", "api", "*"]).unwrap_or_default();
    let any = json!([{"match": {"service": service}}]);
    let mut resource = match kind {
        Kind::Mesh => json!({"tracing": {"zipkin": {"address": format!("zipkin-{variant}:9411")}}}),
        Kind::Dataplane => json!({"networking": {"inbound": [
            {"interface": format!("10.0.0.{variant}:80:8080"), "tags": {"service": service, "version": "1"}}]}}),
        Kind::ProxyTemplate => json!({"selectors": any, "conf": {"imports": ["default-proxy"]}}),
        Kind::TrafficPermission => json!({"sources": any, "destinations": any}),
        Kind::TrafficLog => {
            json!({"sources": any, "destinations": any, "conf": {"backend": format!("b{variant}")}})
        }
        Kind::TrafficRoute => json!({"sources": any, "destinations": any,
            "conf": [{"weight": variant, "destination": {"service": "api"}}]}),
    };
    resource["type"] = json!(kind.name());
    resource["name"] = json!(name);
    if kind.scope() == Scope::Mesh {
        resource["mesh"] = json!(mesh);
    }
    resource
}
