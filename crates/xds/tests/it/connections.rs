//! What bounds a connection, and what does not end it.

use std::{sync::Arc, time::Duration};

use tokio::{io::AsyncReadExt, net::TcpStream};
use xds::ServerSettings;

use crate::{
    client::{self, Client, DELTA, within},
    fleet::{Fleet, certificate, clusters},
};

#[tokio::test]
async fn at_shutdown_streams_end_as_unavailable_and_nothing_is_left() {
    let fleet = Fleet::start(ServerSettings::default());
    let client = Client::connect(fleet.address, &fleet.root).await;
    let mut stream = client.open().await;
    stream.hear().await;
    let silent = client.call(DELTA, &[("authorization", "Bearer good")]).await;
    fleet.shutdown.send_replace(true);
    assert_eq!(stream.status().await, (14, "the server is shutting down".to_owned()));
    assert_eq!(silent.status().await.0, 14);
    drop(client);
    within(fleet.server).await.unwrap();
    assert!(TcpStream::connect(fleet.address).await.is_err());
}

#[tokio::test]
async fn at_shutdown_who_does_not_go_is_cut() {
    let settings =
        ServerSettings { shutdown_timeout: Duration::from_millis(100), ..ServerSettings::default() };
    let fleet = Fleet::start(settings);
    let client = Client::connect(fleet.address, &fleet.root).await;
    let deaf = client.open().await;
    fleet.world.send_replace((2, Arc::new(clusters("2", 10_000_000))));
    within(fleet.taken.subscribe().wait_for(|it| *it > 0)).await.unwrap();
    fleet.shutdown.send_replace(true);
    within(fleet.server).await.unwrap();
    drop(deaf);
}

#[tokio::test]
async fn a_new_certificate_counts_from_the_next_connection_and_closes_none() {
    let fleet = Fleet::start(ServerSettings::default());
    let client = Client::connect(fleet.address, &fleet.root).await;
    let mut stream = client.open().await;
    let first = stream.hear().await;
    let (new_root, config) = certificate();
    fleet.tls.send_replace(config);

    assert!(within(client::tls(fleet.address, &fleet.root)).await.is_err());
    Client::connect(fleet.address, &new_root).await.open().await.hear().await;

    stream.acknowledge(&first.nonce);
    fleet.world.send_replace((2, Arc::new(clusters("2", 10))));
    assert_eq!(stream.hear().await.resources[0].version, "2");
}

#[tokio::test]
async fn more_connections_than_may_be_are_closed_at_once() {
    let fleet = Fleet::start(ServerSettings { max_connections: 1, ..ServerSettings::default() });
    let client = Client::connect(fleet.address, &fleet.root).await;
    client.open().await.hear().await;
    assert!(within(client::tls(fleet.address, &fleet.root)).await.is_err());
    drop(client);
    // Its slot is free once it is closed.
    within(async { while client::tls(fleet.address, &fleet.root).await.is_err() {} }).await;
}

/// F15: idle connections, whatever they have begun, keep nobody out.
#[tokio::test]
async fn who_rests_makes_room_for_who_comes() {
    let fleet = Fleet::start(ServerSettings {
        max_connections: 4,
        undisturbed: Duration::ZERO,
        ..ServerSettings::default()
    });
    let client = Client::connect(fleet.address, &fleet.root).await;
    let mut served = client.open().await;
    let first = served.hear().await;

    let mut no_handshake = TcpStream::connect(fleet.address).await.unwrap();
    let mut no_word = client::tls(fleet.address, &fleet.root).await.unwrap();
    let no_stream = Client::connect(fleet.address, &fleet.root).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        // Who is in the middle of a handshake does not rest yet.
        let other = Box::pin(within(Client::connect_at_last(fleet.address, &fleet.root))).await;
        let mut stream = other.open().await;
        stream.hear().await;
        others.push((other, stream));
    }
    assert_eq!(within(no_handshake.read(&mut [0])).await.unwrap_or(0), 0);
    assert_eq!(within(no_word.read(&mut [0; 1000])).await.map_or(0, |_| 0), 0);
    no_stream.closed().await;

    assert!(within(client::tls(fleet.address, &fleet.root)).await.is_err(), "all are served");
    served.acknowledge(&first.nonce);
    fleet.world.send_replace((2, Arc::new(clusters("2", 10))));
    assert_eq!(served.hear().await.resources[0].version, "2");
}

/// A token that was revoked, for one: who does not read cannot be told, and loses its connection.
#[tokio::test]
async fn a_stream_that_has_to_end_ends_though_its_client_does_not_read() {
    let settings =
        ServerSettings { shutdown_timeout: Duration::from_millis(100), ..ServerSettings::default() };
    let mut fleet = Fleet::start(settings);
    let client = Client::connect(fleet.address, &fleet.root).await;
    let deaf = client.open().await;
    fleet.world.send_replace((2, Arc::new(clusters("2", 10_000_000))));
    within(fleet.taken.subscribe().wait_for(|it| *it > 0)).await.unwrap();
    let view = within(fleet.view.wait_for(Option::is_some)).await.unwrap().clone().unwrap();
    assert!(view.report().is_some());
    view.end();
    client.closed().await;
    assert!(view.report().is_none());
    drop(deaf);
}

#[tokio::test]
async fn who_begins_nothing_is_closed() {
    let moment = Duration::from_millis(50);
    let settings =
        ServerSettings { handshake_timeout: moment, idle_timeout: moment, ..ServerSettings::default() };
    let fleet = Fleet::start(settings);

    let mut no_handshake = TcpStream::connect(fleet.address).await.unwrap();
    assert_eq!(within(no_handshake.read(&mut [0])).await.unwrap_or(0), 0);

    let no_stream = Client::connect(fleet.address, &fleet.root).await;
    no_stream.closed().await;

    let client = Client::connect(fleet.address, &fleet.root).await;
    let no_message = client.call(DELTA, &[("authorization", "Bearer good")]).await;
    assert_eq!(no_message.status().await.0, 4);
}

#[tokio::test]
async fn what_is_not_tls_ends_its_connection_and_no_other() {
    use tokio::io::AsyncWriteExt;
    let fleet = Fleet::start(ServerSettings::default());
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[22, 3, 1, 255, 255, 0], &[0; 1000]] {
        let mut tcp = TcpStream::connect(fleet.address).await.unwrap();
        tcp.write_all(garbage).await.unwrap();
        tcp.shutdown().await.unwrap();
        let mut answer = Vec::new();
        within(tcp.read_to_end(&mut answer)).await.ok();
    }
    let client = Client::connect(fleet.address, &fleet.root).await;
    client.open().await.hear().await;
}
