//! Clients that are slow, large or many must not hold the server.

use std::{sync::Arc, time::Duration};

use api::Limits;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use store::MemoryStore;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    client::{DEADLINE, get, parse, send},
    server::{EPOCH, Server},
};

/// Short enough to be waited for.
const SOON: Duration = Duration::from_millis(100);

async fn server(change: impl FnOnce(&mut Limits)) -> Server {
    Server::start_with(Arc::new(MemoryStore::new(EPOCH)), |api| change(&mut api.limits)).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    // A reset ends a connection as well as a proper end does.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut read)).await.expect("the server ends the connection");
    String::from_utf8(read).expect("answers are UTF-8")
}

#[tokio::test]
async fn a_client_that_stops_talking_is_let_go() {
    let server = server(|limits| {
        limits.idle_timeout = SOON;
        limits.header_read_timeout = SOON;
    })
    .await;
    // Nothing at all, the beginning of HTTP/2, half a head, and an answered connection at rest.
    for said in [
        "",
        "PRI * HT",
        "GET / HTTP/1.1\r\nhost: localhost\r\nx: ",
        "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        read_to_end(&mut stream).await;
    }
}

#[tokio::test]
async fn a_body_must_arrive_in_time_and_within_its_limit() {
    let server = server(|limits| {
        limits.body_read_timeout = SOON;
        limits.body_bytes = 100;
    })
    .await;
    let head = "PUT /meshes/demo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let fitting = format!("{:>100}", r#"{"type":"Mesh","name":"demo"}"#);
    for (rest, expected) in [
        ("content-length: 29\r\n\r\n{\"type\":".to_owned(), 408),
        ("content-length: 101\r\n\r\n".to_owned(), 413),
        ("content-length: 1000000000000\r\n\r\n".to_owned(), 413),
        (format!("transfer-encoding: chunked\r\n\r\n65\r\n{:101}\r\n0\r\n\r\n", ""), 413),
        (format!("content-length: 100\r\n\r\n{fitting}"), 201),
    ] {
        let reply = send(server.address, format!("{head}{rest}").as_bytes()).await;
        assert_eq!(reply.status, expected, "{rest}");
        if expected >= 400 {
            assert!(reply.json()["details"].is_string());
        }
    }
}

#[tokio::test]
async fn a_client_that_sends_on_what_is_refused_hears_why() {
    let server = Server::start().await;
    let body = "x".repeat(10 * 1024 * 1024);
    for (head, expected) in [
        (format!("PUT /meshes/demo HTTP/1.1\r\ncontent-length: {}", body.len()), 413),
        (format!("PUT /nothing HTTP/1.1\r\ncontent-length: {}", body.len()), 404),
        (format!("PUT /meshes HTTP/1.1\r\ncontent-length: {}", body.len()), 405),
    ] {
        let head = format!(
            "{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n"
        );
        // All of it is sent before anything is read.
        let reply = send(server.address, format!("{head}{body}").as_bytes()).await;
        assert_eq!(reply.status, expected);
        assert!(reply.json()["details"].is_string());
    }
    assert_eq!(get(server.address, "/").await.status, 200);
}

#[tokio::test]
async fn the_content_type_is_judged_before_the_body_is_sent() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "PUT /meshes/demo HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 29\r\n\
                expect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = timeout(DEADLINE, stream.read(&mut answer)).await.unwrap().unwrap();
    assert_eq!(parse(std::str::from_utf8(&answer[..length]).unwrap()).status, 415);
}

#[tokio::test]
async fn a_head_has_its_limit() {
    let server = server(|limits| limits.header_bytes = 8 * 1024).await;
    let head = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = read_to_end(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(get(server.address, "/").await.status, 200);
}

/// A request under way: its body is still to come.
async fn at_work(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "PUT /meshes/demo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: application/json\r\ncontent-length: 29\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body, so it has begun.
    let mut go_on = [0; 25];
    timeout(DEADLINE, stream.read_exact(&mut go_on)).await.unwrap().unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

async fn finish(mut stream: TcpStream) {
    stream.write_all(br#"{"type":"Mesh","name":"demo"}"#).await.unwrap();
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 201"));
}

/// Answered once, and kept open.
async fn at_rest(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"HEAD / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") {
        answer.push(char::from(timeout(DEADLINE, stream.read_u8()).await.unwrap().unwrap()));
    }
    stream
}

#[tokio::test]
async fn a_peer_beyond_its_share_gives_up_a_connection_at_rest_but_none_at_work() {
    let server = server(|limits| limits.connections_per_peer = 2).await;
    let working = at_work(&server).await;
    let mut resting = at_rest(&server).await;
    let also_working = at_work(&server).await;
    assert_eq!(read_to_end(&mut resting).await, "");

    let mut beyond = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(read_to_end(&mut beyond).await, "");
    drop(also_working);
    finish(working).await;
}

#[tokio::test]
async fn when_all_connections_are_taken_those_at_rest_make_room_and_those_at_work_do_not() {
    let server = server(|limits| limits.connections = 2).await;
    let working = at_work(&server).await;
    let mut resting = at_rest(&server).await;
    let also_working = at_work(&server).await;
    assert_eq!(read_to_end(&mut resting).await, "");

    let waiting = tokio::spawn({
        let address = server.address;
        async move { get(address, "/").await.status }
    });
    tokio::task::yield_now().await;
    finish(working).await;
    assert_eq!(waiting.await.unwrap(), 200);
    drop(also_working);
}

#[tokio::test]
async fn http_2_without_tls_is_the_same_api() {
    let server = Server::start().await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for (method, path, host, body, expected) in [
        ("PUT", "/meshes/demo", "localhost", r#"{"type":"Mesh","name":"demo"}"#, 201),
        ("GET", "/meshes/demo", "localhost", "", 200),
        ("HEAD", "/meshes/demo", "localhost", "", 200),
        ("GET", "/meshes/demo", "evil.example", "", 421),
    ] {
        let request = hyper::Request::builder()
            .method(method)
            .uri(format!("http://{host}{path}"))
            .header("content-type", "application/json")
            .body(Full::new(bytes::Bytes::from_static(body.as_bytes())))
            .unwrap();
        let reply = sender.send_request(request).await.unwrap();
        assert_eq!(reply.status().as_u16(), expected, "{method} {path} {host}");
        let length = reply.into_body().collect().await.unwrap().to_bytes().len();
        assert_eq!(length == 0, matches!(method, "PUT" | "HEAD"), "{method}");
    }
    drop(sender);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_lets_go_of_who_rests_and_cuts_off_who_does_not_end() {
    let server = server(|limits| limits.shutdown_grace = SOON).await;
    let mut resting = TcpStream::connect(server.address).await.unwrap();
    resting.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut begun = [0; 8];
    resting.read_exact(&mut begun).await.unwrap();
    let mut sending = TcpStream::connect(server.address).await.unwrap();
    let head = "PUT /meshes/demo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    sending.write_all(head.as_bytes()).await.unwrap();
    timeout(DEADLINE, server.stop()).await.expect("it stops");
    read_to_end(&mut resting).await;
    read_to_end(&mut sending).await;
}

#[tokio::test]
async fn what_is_observed_names_routes_and_never_what_a_client_made_up() {
    let server = Server::start().await;
    get(server.address, "/meshes/demo/dataplanes/web").await;
    get(server.address, "/meshes").await;
    crate::client::ask(server.address, "BREW /pot", &[], None).await;
    let observed = server.observed.all();
    assert_eq!(
        observed,
        ["GET /meshes/{mesh}/{collection}/{name} 404", "GET /{collection} 200", "other unknown 404"]
    );
}
