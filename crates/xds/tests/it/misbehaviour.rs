//! Streams and connections that misbehave, over real TLS and HTTP/2: a neighbour on the same server hears of every change
//! in the meantime. (One that never reads is among the streams.)

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use envoy_types::pb::{envoy::service::discovery::v3::DeltaDiscoveryRequest, google::rpc::Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use xds::ServerSettings;

use crate::{
    client::{self, CLUSTERS, Call, Client, within},
    fleet::{Fleet, clusters},
};

/// Only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_mins(1);

const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

/// A client that does nothing wrong, on a connection of its own.
struct Neighbour {
    stream: Call,
    version: u64,
    _client: Client,
}

impl Neighbour {
    async fn of(fleet: &Fleet) -> Self {
        let client = Client::connect(fleet.address, &fleet.root).await;
        let mut stream = client.open().await;
        let first = stream.hear().await;
        stream.acknowledge(&first.nonce);
        Self { stream, version: 1, _client: client }
    }

    /// Changes the world, and waits until it has come.
    async fn hears_of_a_change(&mut self, fleet: &Fleet) {
        self.version += 1;
        let version = self.version.to_string();
        fleet.world.send_replace((self.version, Arc::new(clusters(&version, 10))));
        let heard = self.stream.hear().await;
        assert_eq!(heard.resources[0].version, version);
        self.stream.acknowledge(&heard.nonce);
    }
}

async fn fleet(settings: ServerSettings) -> (Fleet, Neighbour) {
    let fleet = Fleet::start(settings);
    let neighbour = Neighbour::of(&fleet).await;
    (fleet, neighbour)
}

fn names(from: usize, count: usize) -> Vec<String> {
    (from..from + count).map(|i| format!("a-name-that-nobody-has-{i}")).collect()
}

fn subscribe(names: Vec<String>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: ENDPOINTS.to_owned(),
        resource_names_subscribe: names,
        ..DeltaDiscoveryRequest::default()
    }
}

fn unsubscribe(names: Vec<String>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: ENDPOINTS.to_owned(),
        resource_names_unsubscribe: names,
        ..DeltaDiscoveryRequest::default()
    }
}

fn reject(type_url: &str, nonce: &str) -> DeltaDiscoveryRequest {
    let error_detail = Some(Status { message: "no".to_owned(), ..Status::default() });
    DeltaDiscoveryRequest {
        type_url: type_url.to_owned(),
        response_nonce: nonce.to_owned(),
        error_detail,
        ..DeltaDiscoveryRequest::default()
    }
}

/// More names in all than a stream may have, but never at a time: what is given up is forgotten.
#[tokio::test]
async fn a_flood_of_names_is_answered_and_forgotten() {
    const NAMES: usize = 10_000;
    let (fleet, mut neighbour) = fleet(ServerSettings::default()).await;
    let client = Client::connect(fleet.address, &fleet.root).await;
    let mut flood = client.open().await;
    for round in 0..12 {
        let names = names(round * NAMES, NAMES);
        flood.say(&subscribe(names.clone()));
        let mut answered = 0;
        while answered < NAMES {
            let heard = flood.hear().await;
            if heard.type_url == ENDPOINTS {
                answered += heard.resources.len() + heard.removed_resources.len();
            }
            flood.say(&DeltaDiscoveryRequest {
                type_url: heard.type_url,
                response_nonce: heard.nonce,
                ..DeltaDiscoveryRequest::default()
            });
        }
        flood.say(&unsubscribe(names));
        neighbour.hears_of_a_change(&fleet).await;
    }
}

#[tokio::test]
async fn a_flood_of_requests_from_one_that_does_not_read_holds_up_nobody_else() {
    let (fleet, mut neighbour) = fleet(ServerSettings::default()).await;
    let client = Client::connect(fleet.address, &fleet.root).await;
    let deaf = client.open().await;
    for round in 0..50 {
        let names = names(round * 1000, 1000);
        deaf.say(&subscribe(names.clone()));
        deaf.say(&unsubscribe(names));
        neighbour.hears_of_a_change(&fleet).await;
    }
}

#[tokio::test]
async fn more_names_than_may_be_end_the_stream_that_has_them() {
    let (fleet, mut neighbour) = fleet(ServerSettings::default()).await;
    let client = Client::connect(fleet.address, &fleet.root).await;
    let flood = client.open().await;
    for round in 0..3 {
        flood.say(&subscribe(names(round * 40_000, 40_000)));
    }
    let (code, message) = flood.status().await;
    assert_eq!(code, 8, "{message}");
    neighbour.hears_of_a_change(&fleet).await;
}

/// Neither for it, nor for others: an answer to nothing that was sent is no answer.
#[tokio::test]
async fn stale_nonces_change_nothing() {
    let (fleet, mut neighbour) = fleet(ServerSettings::default()).await;
    let client = Client::connect(fleet.address, &fleet.root).await;
    let mut stale = client.open().await;
    let mut latest = stale.hear().await;
    // Not all at once: of small frames that a busy server has not read yet HTTP/2 itself (h2) allows some 3,000, and ends the
    // connection of who sends more.
    for version in 2..=4 {
        for i in 0..1_700 {
            stale.say(&reject(CLUSTERS, &format!("nobody-said-{i}")));
        }
        stale.acknowledge(&latest.nonce);
        neighbour.hears_of_a_change(&fleet).await;
        latest = stale.hear().await;
        let heard = latest.resources[0].version.as_str();
        assert_eq!(heard, version.to_string(), "the next change, as if nothing had been said");
    }
}

/// One response a change, and the same words again only after a pause.
#[tokio::test]
async fn one_that_rejects_everything_is_told_of_changes_and_not_over_and_over() {
    const CHANGES: u32 = 200;
    /// Between two offers of the same content, at the least: `RETRY_FIRST` of a session.
    const PAUSE: Duration = Duration::from_secs(5);
    let (fleet, mut neighbour) = fleet(ServerSettings::default()).await;
    let client = Client::connect(fleet.address, &fleet.root).await;
    let mut stubborn = client.open().await;
    let began = Instant::now();
    let mut responses = 0;
    for _ in 0..CHANGES {
        neighbour.hears_of_a_change(&fleet).await;
        let latest = neighbour.version.to_string();
        loop {
            let heard = stubborn.hear().await;
            responses += 1;
            stubborn.say(&reject(CLUSTERS, &heard.nonce));
            if heard.resources[0].version == latest {
                break;
            }
        }
    }
    // What comes next is the next change, not the last one again.
    neighbour.hears_of_a_change(&fleet).await;
    let heard = stubborn.hear().await;
    let again = u32::try_from(began.elapsed().as_secs() / PAUSE.as_secs()).unwrap();
    assert!(again > 0 || heard.resources[0].version == neighbour.version.to_string(), "{heard:?}");
    assert!(responses <= 1 + CHANGES + again, "{responses} responses to {CHANGES} changes");
}

/// Whose handshake begins and does not go on, or goes on a byte at a time.
#[tokio::test]
async fn handshakes_that_never_end_hold_up_nobody_and_are_ended() {
    // Long enough for those who mean it, also on a loaded machine.
    let settings = ServerSettings { handshake_timeout: Duration::from_secs(3), ..ServerSettings::default() };
    let (fleet, mut neighbour) = fleet(settings).await;
    let mut half_open = Vec::new();
    for i in 0..100 {
        let mut tcp = TcpStream::connect(fleet.address).await.unwrap();
        // A ClientHello of 16 KB is announced: some say that much, some nothing.
        if i % 2 == 0 {
            tcp.write_all(&[22, 3, 1, 64, 0]).await.unwrap();
        }
        half_open.push(tcp);
    }
    let mut drip = half_open.pop().unwrap();
    drip.write_all(&[22, 3, 1, 64, 0, 1, 0]).await.unwrap();
    let drip = async move {
        while drip.write_all(&[0]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let drip = tokio::spawn(drip);
    neighbour.hears_of_a_change(&fleet).await;
    Neighbour::of(&fleet).await.stream.end();
    for mut tcp in half_open {
        let mut answer = Vec::new();
        within(tcp.read_to_end(&mut answer)).await.ok();
    }
    within(drip).await.unwrap();
    neighbour.hears_of_a_change(&fleet).await;
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A frame of HTTP/2: RFC 9113, section 4.1.
fn h2(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// POST https /, by HPACK's static table alone.
const HEADERS: [u8; 3] = [0x83, 0x87, 0x84];

/// What the server does about it.
#[derive(Clone, Copy, PartialEq)]
enum Reaction {
    Closes,
    /// It is answered, or nobody reads it, and either is bounded.
    Endures,
}

/// What is wrong with it, what is said so often, or until the server has had enough, and its reaction.
type Wrong<'a> = (&'a str, u32, &'a dyn Fn(u32) -> Vec<u8>, Reaction);

async fn insist(fleet: &Fleet, neighbour: &mut Neighbour, (what, times, next, reaction): Wrong<'_>) {
    let mut tls = within(client::tls(fleet.address, &fleet.root)).await.unwrap();
    let saying = async {
        tls.write_all(PREFACE).await?;
        for i in 0..times {
            tls.write_all(&next(i)).await?;
        }
        tls.flush().await
    };
    // It may have stopped reading, which is as good as closing, for all the others.
    tokio::time::timeout(Duration::from_secs(2), saying).await.ok();
    neighbour.hears_of_a_change(fleet).await;
    if reaction == Reaction::Closes {
        let closed = tokio::time::timeout(PATIENCE, tls.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "{what}: the connection stays open");
    }
    drop(tls);
    neighbour.hears_of_a_change(fleet).await;
}

#[tokio::test]
async fn what_is_wrong_or_too_much_in_http_2_ends_its_connection_at_most() {
    use Reaction::{Closes, Endures};
    let settings = ServerSettings { idle_timeout: Duration::from_mins(10), ..ServerSettings::default() };
    let (fleet, mut neighbour) = fleet(settings).await;
    let zeros = vec![0; 16_384];
    let headers = |i: u32| h2(1, 4, 2 * i + 1, &HEADERS);
    let reset = |i: u32| [headers(i), h2(3, 0, 2 * i + 1, &[0, 0, 0, 8])].concat();
    let endless_headers = |i: u32| if i == 0 { h2(1, 0, 1, &HEADERS) } else { h2(9, 0, 1, &zeros) };
    let table: [Wrong<'_>; 8] = [
        ("not HTTP/2 at all", 100, &|_| b"GET / HTTP/1.1\r\n\r\n".to_vec(), Closes),
        ("a frame of a megabyte, which nobody has allowed", 1, &|_| h2(0, 0, 1, &vec![0; 1 << 20]), Closes),
        ("headers that never end (CVE-2024-27316)", 1000, &endless_headers, Closes),
        ("streams that are reset as soon as they are opened (CVE-2023-44487)", 10_000, &reset, Closes),
        ("data on a stream that was never opened", 200, &|_| h2(0, 0, 1, &zeros), Closes),
        ("more streams than may be", 2000, &headers, Endures),
        ("pings without end, whose answers nobody reads", 50_000, &|_| h2(6, 0, 0, &[0; 8]), Endures),
        ("settings without end, whose answers nobody reads", 50_000, &|_| h2(4, 0, 0, &[]), Endures),
    ];
    for wrong in table {
        insist(&fleet, &mut neighbour, wrong).await;
    }
}
