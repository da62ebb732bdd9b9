//! Connections are logged where a TrafficLog says, and whatever becomes of a log, traffic goes on.

use std::{net::SocketAddr, path::PathBuf};

use model::log_format;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use testbed::{Answer, Launch, Programs, Service};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{
    secured::permission,
    shop::{Shop, read, until},
    transfer::{DRAIN_TIME, Transfer},
};

const PING: &str = "PING\n";
const PONG: &str = "+PONG\r\n";

/// web, which calls backend, and where its connections are logged.
struct Logged {
    shop: Shop,
    /// By which web calls backend.
    outbound: SocketAddr,
    _backend: Service,
}

impl Logged {
    async fn open(programs: Programs, network: u8, answer: Answer) -> Self {
        let mut shop = Shop::open_with(programs, network, &[]).await;
        let outbound = shop.outbound(10_001);
        let backend = Service::start("backend", answer).await.unwrap();
        shop.register_before(&backend, "backend", json!({"service": "backend"}), &[]).await;
        shop.register("web", json!({"service": "web"}), &[(outbound, "backend")]).await;
        for name in ["backend", "web"] {
            shop.launch(Launch { drain_time: DRAIN_TIME, ..Launch::of(name) }).await;
        }
        Self { shop, outbound, _backend: backend }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.shop.folder.path().join(name)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        read(&self.file(name)).lines().map(str::to_owned).collect()
    }

    async fn apply(&self, entity: &Value) {
        self.shop.control_plane.apply(entity).await.unwrap();
        for name in ["web", "backend"] {
            until("the proxy to have all of it", async || {
                self.shop.control_plane.is_synced(name).await.unwrap()
            })
            .await;
        }
    }

    async fn backends(&self, backends: &[Value]) {
        self.apply(&json!({"type": "Mesh", "name": "default", "logging": {"backends": backends}})).await;
    }

    /// Every connection goes to this backend.
    async fn log_to(&self, backend: &str) {
        self.apply(&traffic_log(backend, backend)).await;
    }

    /// One connection, on which five bytes go to backend and seven come back.
    async fn call(&self) {
        assert_eq!(testbed::ask(self.outbound, PING).await.unwrap(), PONG.trim_end());
    }

    async fn until_lines(&self, file: &str, count: usize) -> Vec<String> {
        until(&format!("{count} lines in {file}"), async || self.lines(file).len() >= count).await;
        let lines = self.lines(file);
        assert_eq!(lines.len(), count, "{lines:?}");
        lines
    }

    fn web(&self) -> &testbed::Proxy {
        &self.shop.proxies[1]
    }

    async fn dropped(&self) -> u64 {
        self.web().count("kuma_dp_access_log_lines_dropped_total").await.unwrap()
    }
}

fn traffic_log(name: &str, backend: &str) -> Value {
    json!({
        "type": "TrafficLog", "mesh": "default", "name": name,
        "sources": [{"match": {"service": "web"}}], "destinations": [{"match": {"service": "*"}}],
        "conf": {"backend": backend},
    })
}

/// A server that takes lines. It ends when it is dropped, with all of its connections.
pub(crate) struct Collector {
    listener: TcpListener,
}

impl Collector {
    pub(crate) async fn listen(address: SocketAddr) -> Self {
        Self { listener: TcpListener::bind(address).await.unwrap() }
    }

    pub(crate) async fn accept(&self) -> BufReader<TcpStream> {
        let accepted = tokio::time::timeout(std::time::Duration::from_mins(1), self.listener.accept()).await;
        BufReader::new(accepted.expect("kuma-dp connects").unwrap().0)
    }
}

pub(crate) async fn next_line(collected: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    let read = tokio::time::timeout(std::time::Duration::from_mins(1), collected.read_line(&mut line)).await;
    read.expect("a line comes").unwrap();
    assert!(line.ends_with('\n'), "a whole line, not {line:?}");
    line.trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_has_who_called_whom_and_how_many_bytes_went_each_way() {
    who_called_whom(Programs::find().unwrap(), 181).await;
}

pub(crate) async fn who_called_whom(programs: Programs, network: u8) {
    let logged = Logged::open(programs, network, Answer::Pong).await;
    let collector = Collector::listen(logged.shop.outbound(10_009)).await;
    let format = "%KUMA_MESH% %KUMA_SOURCE_SERVICE% %KUMA_SOURCE_ADDRESS% %KUMA_SOURCE_ADDRESS_WITHOUT_PORT% \
                  %KUMA_DESTINATION_SERVICE% %KUMA_TRAFFIC_DIRECTION% [%KUMA_ZONE%] %UPSTREAM_HOST% \
                  received %BYTES_RECEIVED% sent %BYTES_SENT% 100%% \"quoted\"";
    let address = logged.shop.outbound(10_009).to_string();
    logged
        .backends(&[
            json!({"name": "file", "format": format, "file": {"path": logged.file("access.log")}}),
            json!({"name": "collector", "tcp": {"address": address}}),
        ])
        .await;
    logged.log_to("file").await;
    logged.log_to("collector").await;
    logged.call().await;

    let web = format!("127.{network}.0.2");
    let expected = format!(
        "default web {web}:0 {web} backend OUTBOUND [] 127.{network}.0.1:8080 received 5 sent 7 100% \"quoted\""
    );
    assert_eq!(logged.until_lines("access.log", 1).await, std::slice::from_ref(&expected));
    let mut collected = collector.accept().await;
    let line = next_line(&mut collected).await;
    let (time, rest) = line.split_once("] ").expect("a time in brackets");
    assert!(time.starts_with("[20") && time.ends_with('Z'), "{line}");
    let start = format!("{web}:0(web)->127.{network}.0.1:8080(backend) took ");
    let duration =
        rest.strip_prefix(&start).and_then(|rest| rest.strip_suffix("ms, sent 7 bytes, received: 5 bytes"));
    assert!(duration.is_some_and(|it| it.parse::<u64>().is_ok()), "{line}");

    // Moved away, as logrotate does, with a signal and without.
    for (moved, signal) in [("access.log.1", None), ("access.log.2", Some(Signal::SIGHUP))] {
        std::fs::rename(logged.file("access.log"), logged.file(moved)).unwrap();
        if let Some(signal) = signal {
            kill(kuma_dp_of(&logged), signal).unwrap();
        }
        logged.call().await;
        assert_eq!(logged.until_lines("access.log", 1).await, std::slice::from_ref(&expected));
        assert_eq!(logged.lines(moved), std::slice::from_ref(&expected));
        next_line(&mut collected).await;
    }
    assert_eq!(logged.dropped().await, 0);
}

fn kuma_dp_of(logged: &Logged) -> Pid {
    let lock = read(&logged.shop.proxy_folder("web").join("dp/lock"));
    Pid::from_raw(lock.trim().parse().expect("the lock has the pid of kuma-dp"))
}

/// With mTLS, so that there is something to print for most of them.
#[tokio::test(flavor = "multi_thread")]
async fn every_operator_that_a_format_may_have_is_printed() {
    let logged = Logged::open(Programs::find().unwrap(), 182, Answer::Pong).await;
    let operators: Vec<String> = log_format::operator_names().map(written).collect();
    assert!(operators.len() > 100);
    let format = format!("{} the end", operators.join(" | "));
    let backend = json!({"name": "file", "format": format, "file": {"path": logged.file("access.log")}});
    logged
        .apply(&json!({
            "type": "Mesh", "name": "default", "mtls": {"enabled": true}, "logging": {"backends": [backend]},
        }))
        .await;
    logged.apply(&permission("all", &["web"], &["backend"])).await;
    logged.log_to("file").await;
    until("backend to let web in", async || testbed::ask(logged.outbound, PING).await.is_ok()).await;

    until("a connection's line", async || !logged.lines("access.log").is_empty()).await;
    let before = logged.lines("access.log").len();
    logged.call().await;
    let lines = logged.until_lines("access.log", before + 1).await;
    let line = lines.last().and_then(|line| line.strip_suffix(" the end")).expect("it is whole");
    let values: Vec<&str> = line.split(" | ").collect();
    assert_eq!(values.len(), operators.len(), "{line}");
    let value = |operator: &str| {
        values[operators.iter().position(|it| it == operator).unwrap_or_else(|| panic!("{operator}"))]
    };
    for (operator, value) in operators.iter().zip(&values) {
        assert!(!value.starts_with('%'), "{operator} became {value}");
    }
    let empty: Vec<&str> = operators
        .iter()
        .zip(&values)
        .filter(|(_, value)| value.is_empty())
        .map(|(it, _)| it.as_str())
        .collect();
    let nothing_to_print = [
        "%CUSTOM_FLAGS%",
        "%DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID%",
        "%DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID%",
        "%LOCAL_REPLY_BODY%",
        "%UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID%",
    ];
    assert_eq!(empty, nothing_to_print, "all others are printed");
    assert_eq!((value("%BYTES_RECEIVED%"), value("%BYTES_SENT%")), ("5", "7"));
    assert_eq!(value("%UPSTREAM_PEER_URI_SAN%"), "spiffe://default/backend");
    assert_eq!(value("%UPSTREAM_LOCAL_URI_SAN%"), "spiffe://default/web");
    assert_eq!((value("%UPSTREAM_CLUSTER%"), value("%PROTOCOL%")), ("backend", "-"), "the second is HTTP's");
    assert_eq!(logged.dropped().await, 0);
}

/// With an argument, where it needs one.
fn written(name: &'static str) -> String {
    let argument = match name {
        "COMMON_DURATION" => "DS_CX_BEG:DS_CX_END:us",
        "DYNAMIC_METADATA" | "CLUSTER_METADATA" | "UPSTREAM_METADATA" => "envoy.lb:service",
        "ENVIRONMENT" => "PATH",
        "FILTER_STATE" | "UPSTREAM_FILTER_STATE" => "key:PLAIN",
        "METADATA" => "CLUSTER:envoy.lb:service",
        "QUERY_PARAM" => "q",
        "REQ" | "REQUEST_HEADER" | "RESP" | "RESPONSE_HEADER" | "RESPONSE_TRAILER" | "STREAM_INFO_REQ"
        | "TRAILER" => "X-A?X-B",
        _ => return format!("%{name}%"),
    };
    format!("%{name}({argument})%")
}

/// The path that cannot be written, the collector that is away, and the one that does not read.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_logged_stops_no_traffic() {
    let logged = Logged::open(Programs::find().unwrap(), 183, Answer::Pong).await;
    let [away, stuck] = [10_008, 10_009].map(|port| logged.shop.outbound(port));
    let stuck_collector = Collector::listen(stuck).await;
    // So that a few hundred lines are more than kuma-dp and two sockets keep for a collector.
    let padding = "x".repeat(40_000);
    logged
        .backends(&[
            json!({"name": "good", "format": "good", "file": {"path": logged.file("access.log")}}),
            json!({"name": "bad", "file": {"path": logged.file("no/such/folder/access.log")}}),
            json!({"name": "away", "format": "away %BYTES_SENT%", "tcp": {"address": away.to_string()}}),
            json!({"name": "stuck", "format": padding, "tcp": {"address": stuck.to_string()}}),
        ])
        .await;
    for backend in ["good", "bad", "away", "stuck"] {
        logged.log_to(backend).await;
    }
    let calls = 500;
    for _ in 0..calls {
        logged.call().await;
    }
    let lines = logged.until_lines("access.log", calls).await;
    assert!(lines.iter().all(|line| line == "good"));
    let reason = |reason: &str| format!("kuma_dp_access_log_lines_dropped_total{{reason=\"{reason}\"}}");
    let count = async |why: &str| logged.web().count(&reason(why)).await.unwrap();
    until("what the file would have had to be given up", async || count("unwritable").await >= calls as u64)
        .await;
    until("what does not fit to be dropped", async || count("backlog").await > 0).await;
    let warnings = |needle: &str| logged.web().log().iter().filter(|line| line.contains(needle)).count();
    // One at once, and one a minute.
    let warned = warnings("no/such/folder");
    assert!((1..calls / 20).contains(&warned), "not one a call: {:?}", logged.web().log());

    // Here it is, and then gone, and then back.
    for _ in 0..2 {
        let collector = Collector::listen(away).await;
        let mut collected = collector.accept().await;
        assert_eq!(next_line(&mut collected).await, "away 7");
        drop((collected, collector));
        logged.call().await;
    }
    drop(stuck_collector);
    logged.call().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_outlives_every_change_of_logs() {
    let logged = Logged::open(Programs::find().unwrap(), 184, Answer::Echo).await;
    let file = |name: &str, format: &str| json!({"name": name, "format": format, "file": {"path": logged.file(name)}});
    let mut transfer = Transfer::start(logged.outbound).await;
    transfer.passes("before").await;
    logged.backends(&[file("a", "one")]).await;
    logged.log_to("a").await;
    transfer.passes("a log comes").await;
    logged.backends(&[file("a", "two"), file("b", "one")]).await;
    logged.log_to("b").await;
    transfer.passes("its format changes, and another comes").await;
    assert_eq!(testbed::ask(logged.outbound, PING).await.unwrap(), PING.trim_end());
    assert_eq!(logged.until_lines("a", 1).await, ["two"], "a new connection is logged as it is now");
    assert_eq!(logged.until_lines("b", 1).await, ["one"]);
    for name in ["a", "b"] {
        logged.shop.control_plane.delete(&format!("/meshes/default/traffic-logs/{name}")).await.unwrap();
    }
    logged.backends(&[]).await;
    transfer.passes("no log is left").await;
    transfer.finish().await;
    let after = testbed::ask(logged.outbound, PING).await.unwrap();
    assert_eq!(after, PING.trim_end());
    assert_eq!((logged.lines("a").len(), logged.lines("b").len()), (1, 1), "nothing more is logged");
}
