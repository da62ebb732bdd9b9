//! The lines of TrafficLogs reach their collectors over TCP, whole, and whatever a collector does holds up nothing else.

use std::net::{Ipv4Addr, SocketAddr};

use nix::sys::signal::Signal;
use serde_json::json;
use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::access_log::Mesh;
use crate::kuma_dp::DEADLINE;
use crate::traffic_logs::{delivered, dropped, entry, until_reads};

/// No other test binds there.
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);
/// So little that a collector which does not read is soon full (the kernel doubles it, and has a minimum).
const RECEIVE_BUFFER: u32 = 16 * 1024;

/// A collector that is away, and the target that leads to it: nobody else can have its port.
fn bind() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(RECEIVE_BUFFER).expect("it is ours");
    socket.bind(SocketAddr::from((HOST, 0))).expect("some port is free");
    let target = format!("tcp:{}", socket.local_addr().expect("it is bound"));
    (socket, target)
}

/// It is there.
fn start(collector: TcpSocket) -> TcpListener {
    collector.listen(16).expect("it is bound")
}

/// A collector, and the target that leads to it.
fn listen() -> (TcpListener, String) {
    let (collector, target) = bind();
    (start(collector), target)
}

async fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    let accepted = timeout(DEADLINE, listener.accept()).await.expect("it is dialled in time");
    BufReader::new(accepted.expect("it can be accepted").0)
}

async fn line(connection: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    timeout(DEADLINE, connection.read_line(&mut line))
        .await
        .expect("it comes in time")
        .expect("it can be read");
    line
}

#[tokio::test]
async fn a_collector_gets_the_lines_as_they_are_over_one_connection() {
    let mesh = Mesh::start().await;
    let (listener, target) = listen();
    mesh.log(&target, "one").await;
    let mut connection = accept(&listener).await;
    assert_eq!(line(&mut connection).await, "one\n");
    for text in ["two", "a \"b\"\u{1b} ü"] {
        mesh.log(&target, text).await;
        assert_eq!(line(&mut connection).await, format!("{text}\n"));
    }
    mesh.until_counted(&delivered(3)).await;
}

#[tokio::test]
async fn a_collector_has_a_name_or_an_address_of_either_kind() {
    let mesh = Mesh::start().await;
    for host in ["localhost", "[::1]"] {
        let Ok(listener) = TcpListener::bind(format!("{host}:0")).await else {
            // A machine without IPv6.
            continue;
        };
        let port = listener.local_addr().expect("it is bound").port();
        mesh.log(&format!("tcp:{host}:{port}"), host).await;
        assert_eq!(line(&mut accept(&listener).await).await, format!("{host}\n"));
    }
}

#[tokio::test]
async fn lines_wait_for_a_collector_that_is_not_there_yet() {
    let mut mesh = Mesh::start().await;
    let (collector, target) = bind();
    mesh.log(&target, "one").await;
    let warning = mesh.logged("the collector cannot be reached").await;
    for (field, expected) in [("level", "warn"), ("to", target.as_str()), ("reason", "unreachable")] {
        assert_eq!(warning[field], expected, "{warning}");
    }
    mesh.log(&target, "two").await;
    let listener = start(collector);
    let mut connection = accept(&listener).await;
    assert_eq!(line(&mut connection).await, "one\n");
    assert_eq!(line(&mut connection).await, "two\n");
    let again = mesh.logged("works again").await;
    assert_eq!((&again["to"], &again["lost"]), (&json!(target), &json!(null)), "{again}");
    mesh.until_counted(&dropped("unreachable", 0)).await;
}

/// Whether this machine's name service says no, or nothing at all. No name ends so (RFC 6761).
#[tokio::test]
async fn a_collector_whose_name_nobody_knows_is_warned_of_with_its_name() {
    let mut mesh = Mesh::start().await;
    mesh.log("tcp:logs.invalid:9000", "one").await;
    let warning = mesh.logged("its name logs.invalid cannot be looked up").await;
    assert_eq!(warning["reason"], "unreachable", "{warning}");
}

#[tokio::test]
async fn what_does_not_fit_while_a_collector_is_away_is_lost_and_the_oldest_are_kept() {
    const LINES: usize = 3000;
    let mut mesh = Mesh::start().await;
    let (collector, target) = bind();
    mesh.log(&target, "first").await;
    mesh.kuma_dp.line("the collector cannot be reached").await;
    let text = "x".repeat(1000);
    mesh.flood((entry(&target, &text) + "\n").repeat(LINES)).await;
    let (file, behind) = mesh.file("behind.log");
    mesh.log(&behind, "all is read").await;
    until_reads(&file, "all is read\n").await;
    let lost = mesh.dropped("unreachable").await;
    assert!((1000..LINES).contains(&lost), "{lost} lines");

    let listener = start(collector);
    let mut connection = accept(&listener).await;
    assert_eq!(line(&mut connection).await, "first\n");
    for _ in 0..LINES - lost {
        assert_eq!(line(&mut connection).await.len(), text.len() + 1);
    }
    let again = mesh.logged("works again").await;
    assert_eq!(again["lost"], lost, "{again}");
    mesh.log(&target, "last").await;
    assert_eq!(line(&mut connection).await, "last\n");
}

/// It holds neither the reader of the pipe nor anybody's else lines, and Envoy goes on writing.
#[tokio::test]
async fn a_collector_that_does_not_read_holds_up_nobody() {
    const LINES: usize = 20_000;
    let mesh = Mesh::start().await;
    let (listener, target) = listen();
    mesh.log(&target, "one").await;
    let _connection = accept(&listener).await;
    mesh.flood((entry(&target, &"x".repeat(1000)) + "\n").repeat(LINES)).await;
    let (file, good) = mesh.file("good.log");
    mesh.log(&good, "it came").await;
    until_reads(&file, "it came\n").await;
    let lost = mesh.dropped("backlog").await;
    assert!(lost > LINES / 2, "{lost} lines");
    let end = mesh.end().await;
    assert!(end.contains("it takes lines more slowly than they come"), "{end}");
    let warnings = end.matches("lines of the access log were lost").count();
    assert!(warnings < 20, "one a minute, not one for each of {lost} lines: {end}");
}

#[tokio::test]
async fn a_collector_that_closes_is_dialled_again_with_the_next_line() {
    let mesh = Mesh::start().await;
    let (listener, target) = listen();
    for text in ["one", "two", "three"] {
        mesh.log(&target, text).await;
        let mut connection = accept(&listener).await;
        assert_eq!(line(&mut connection).await, format!("{text}\n"));
        drop(connection);
    }
}

/// Each time the connection breaks while kuma-dp is in the middle of a line.
#[tokio::test]
async fn no_half_line_is_followed_by_another_one() {
    const LINES: usize = 9000;
    let mesh = Mesh::start().await;
    let (listener, target) = listen();
    let text = |number: usize| format!("{number:08}{}", "x".repeat(91));
    mesh.flood((0..LINES).map(|number| entry(&target, &text(number)) + "\n").collect()).await;
    let mut numbers = Vec::new();
    let mut cut = 0;
    for length in [50_001, 70_003, 30_007] {
        let mut connection = accept(&listener).await;
        let mut bytes = vec![0; length];
        timeout(DEADLINE, connection.read_exact(&mut bytes)).await.expect("in time").expect("it sends");
        // There is more that was not read, so this is a reset.
        drop(connection);
        let all = String::from_utf8(bytes).expect("it is ASCII");
        let (whole, half) = all.rsplit_once('\n').expect("there are lines");
        cut += usize::from(!half.is_empty());
        numbers.extend(whole.lines().map(|line| whole_line(line, &text)));
    }
    let mut connection = accept(&listener).await;
    while numbers.last() != Some(&(LINES - 1)) {
        let line = line(&mut connection).await;
        numbers.push(whole_line(line.trim_end(), &text));
    }
    assert_eq!(cut, 3, "else this tests nothing");
    assert!(numbers.is_sorted_by(|one, next| one < next), "no line comes twice, and all in order");
    mesh.until_counted(&dropped("unreachable", 0)).await;
}

fn whole_line(line: &str, text: &impl Fn(usize) -> String) -> usize {
    let number = line.get(..8).and_then(|number| number.parse().ok()).expect("a line begins with its number");
    assert_eq!(line, text(number), "a line is whole");
    number
}

#[tokio::test]
async fn what_waits_is_sent_before_kuma_dp_ends() {
    // So few that a pipe holds them.
    const LINES: usize = 500;
    let mesh = Mesh::start().await;
    let (listener, target) = listen();
    // It must find the lines and the end of its Envoy at once.
    mesh.kuma_dp.signal(Signal::SIGSTOP);
    let texts: Vec<_> = (0..LINES).map(|line| line.to_string()).collect();
    mesh.flood(texts.iter().map(|text| entry(&target, text) + "\n").collect()).await;
    let collected = tokio::spawn(async move {
        let mut all = String::new();
        let mut connection = accept(&listener).await;
        timeout(DEADLINE, connection.read_to_string(&mut all))
            .await
            .expect("it ends")
            .expect("it can be read");
        all
    });
    let Mesh { home, kuma_dp } = mesh;
    let _folder = home.crash_envoy();
    kuma_dp.signal(Signal::SIGCONT);
    let (status, stderr) = kuma_dp.end().await;
    assert_eq!(status.code(), Some(7), "{stderr}");
    assert!(collected.await.expect("it ends") == texts.join("\n") + "\n", "lines are missing:\n{stderr}");
}

/// Neither one that is away nor one that does not read; what they cost is said.
#[tokio::test]
async fn no_collector_holds_up_the_end() {
    let mut mesh = Mesh::start().await;
    let (_away, nowhere) = bind();
    let (listener, deaf) = listen();
    mesh.log(&nowhere, "secret").await;
    mesh.kuma_dp.line("the collector cannot be reached").await;
    mesh.log(&deaf, "secret").await;
    let connection = accept(&listener).await;
    mesh.flood((entry(&deaf, &"secret".repeat(100)) + "\n").repeat(3000)).await;
    let end = mesh.end().await;
    for target in [&nowhere, &deaf] {
        let lost = end.lines().filter(|line| line.contains("were lost") && line.contains(target.as_str()));
        assert!(lost.count() > 0, "{target}: {end}");
    }
    assert!(!end.contains("secret"), "{end}");
    drop(connection);
}

#[tokio::test]
async fn a_collector_that_only_says_nothing_more_gets_the_next_lines_all_the_same() {
    let mesh = Mesh::start().await;
    let (listener, target) = listen();
    for text in ["one", "two"] {
        mesh.log(&target, text).await;
        let mut connection = accept(&listener).await;
        // As `nc -l` does when its own input is at its end.
        SockRef::from(connection.get_ref()).shutdown(std::net::Shutdown::Write).expect("it is connected");
        assert_eq!(line(&mut connection).await, format!("{text}\n"));
    }
}
