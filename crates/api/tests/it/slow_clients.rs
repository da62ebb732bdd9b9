//! Clients that come and do nothing, or next to nothing: they are let go in the end, and nobody waits for them.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use store::MemoryStore;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    client::{DEADLINE, get},
    server::{EPOCH, Server},
};

/// Of a client that sends one byte, and then another.
const DRIP: Duration = Duration::from_millis(5);

/// Drips until the server has had enough; returns what the server said.
async fn drip(server: &Server, head: String, endless: u8) -> String {
    let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    let mut said = Vec::new();
    let dripping = async {
        loop {
            let mut bytes = [0; 4096];
            match timeout(DRIP, stream.read(&mut bytes)).await {
                Err(_still_open) if stream.write_all(&[endless]).await.is_ok() => {}
                Ok(Ok(read)) if read > 0 => said.extend_from_slice(&bytes[..read]),
                _ => break,
            }
        }
    };
    timeout(DEADLINE, dripping).await.expect("the server does not wait for ever");
    String::from_utf8(said).expect("answers are UTF-8")
}

#[tokio::test]
async fn one_byte_at_a_time_is_too_slow_although_the_connection_is_never_idle() {
    let server = Server::start_with(Arc::new(MemoryStore::new(EPOCH)), |api| {
        api.limits.header_read_timeout = 20 * DRIP;
        api.limits.body_read_timeout = 20 * DRIP;
    })
    .await;
    let put = "PUT /meshes/demo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let (header, body, chunks, ()) = tokio::join!(
        drip(&server, "GET / HTTP/1.1\r\nhost: localhost\r\nx: ".to_owned(), b'x'),
        drip(&server, format!("{put}content-length: 1000000\r\n\r\n"), b' '),
        drip(&server, format!("{put}transfer-encoding: chunked\r\n\r\nfffff\r\n"), b' '),
        async {
            for _ in 0..100 {
                assert_eq!(get(server.address, "/meshes").await.status, 200);
            }
        }
    );
    assert!(header.is_empty() || header.starts_with("HTTP/1.1 408"), "{header}");
    for said in [body, chunks] {
        assert!(said.starts_with("HTTP/1.1 408") && said.contains("did not arrive within"), "{said}");
    }
    assert_eq!(server.store.present().revision().number, 0);
}

/// Ten thousand, or as many as the limit of open files allows: both ends of each are in this process.
fn many() -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX).expect("a limit may be raised as far as it goes");
    let spare = 1_000;
    usize::try_from(limit.saturating_sub(spare) / 2).map_or(10_000, |most| most.min(10_000))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_idle_connections_hinder_nobody() {
    let idle = many();
    let server = Server::start_with(Arc::new(MemoryStore::new(EPOCH)), |api| {
        api.limits.connections = 2 * idle;
    })
    .await;
    let mut resting = Vec::new();
    for i in 0..idle {
        // A few hundred from each address, which is fewer than one may have.
        let from = Ipv4Addr::new(127, 1, 0, u8::try_from(1 + i / 400).expect("few addresses are enough"));
        let socket = TcpSocket::new_v4().expect("there are files left");
        socket.bind((from, 0).into()).expect("every address of 127.0.0.0/8 is this machine's");
        let mut stream =
            timeout(DEADLINE, socket.connect(server.address)).await.expect("in time").expect("accepted");
        // Some have said nothing, some began, some have been answered.
        let said: &[u8] = [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"][i % 3];
        stream.write_all(said).await.expect("the server has not closed it");
        resting.push(stream);
        if i % 1000 == 0 {
            assert_eq!(get(server.address, "/meshes").await.status, 200, "beside {i} idle ones");
        }
    }
    for _ in 0..100 {
        assert_eq!(get(server.address, "/meshes").await.status, 200, "beside {idle} idle ones");
    }
    let mut begun = [0; 8];
    let last_answered = resting.iter_mut().skip(2).step_by(3).last().expect("there are many");
    timeout(DEADLINE, last_answered.read_exact(&mut begun))
        .await
        .expect("in time")
        .expect("it is open still");
    assert_eq!(&begun, b"HTTP/1.1");
}
