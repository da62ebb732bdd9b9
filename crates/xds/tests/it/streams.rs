//! What a stream is answered with, and what ends it, and nothing else than it.

use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use prost::Message;
use xds::ServerSettings;

use crate::{
    client::{CLUSTERS, Call, Client, DELTA, STATE_OF_THE_WORLD, framed, post, request, within},
    fleet::{Fleet, clusters},
};

const GOOD: (&str, &str) = ("authorization", "Bearer good");

async fn fleet() -> (Fleet, Client) {
    let fleet = Fleet::start(ServerSettings { max_request_bytes: 10_000, ..ServerSettings::default() });
    let client = Client::connect(fleet.address, &fleet.root).await;
    (fleet, client)
}

#[tokio::test]
async fn a_stream_is_told_the_world_its_changes_and_settles() {
    let (mut fleet, client) = fleet().await;
    let mut stream = client.open().await;
    assert_eq!(stream.response.headers()["content-type"], "application/grpc");
    let first = stream.hear().await;
    assert_eq!((first.type_url.as_str(), first.resources[0].version.as_str()), (CLUSTERS, "1"));
    stream.acknowledge(&first.nonce);
    within(fleet.status.wait_for(|it| it.settled && it.settled_tag == 1)).await.unwrap();

    fleet.world.send_replace((2, Arc::new(clusters("2", 100_000))));
    let second = stream.hear().await;
    assert_eq!(second.resources[0].resource.as_ref().unwrap().value, vec![0; 100_000]);
    stream.acknowledge(&second.nonce);
    within(fleet.status.wait_for(|it| it.settled_tag == 2)).await.unwrap();

    // A newer state that says nothing new to this client settles without a word.
    fleet.world.send_replace((3, Arc::new(clusters("2", 100_000))));
    within(fleet.status.wait_for(|it| it.settled_tag == 3)).await.unwrap();
}

#[tokio::test]
async fn a_client_of_the_other_protocol_is_told_whole_states() {
    let (mut fleet, client) = fleet().await;
    let mut stream = client.call(STATE_OF_THE_WORLD, &[GOOD]).await;
    let said = |version: &str, nonce: &str| DiscoveryRequest {
        node: request("default.web", CLUSTERS).node,
        type_url: CLUSTERS.to_owned(),
        version_info: version.to_owned(),
        response_nonce: nonce.to_owned(),
        ..DiscoveryRequest::default()
    };
    let say = |stream: &Call, request: &DiscoveryRequest| {
        stream.body.send(framed(&request.encode_to_vec())).unwrap();
    };
    say(&stream, &said("", ""));
    let first: DiscoveryResponse = stream.hear_any().await;
    assert_eq!((first.type_url.as_str(), first.resources.len()), (CLUSTERS, 1));
    assert_eq!((first.resources[0].type_url.as_str(), first.resources[0].value.len()), (CLUSTERS, 10));
    say(&stream, &said(&first.version_info, &first.nonce));
    within(fleet.status.wait_for(|it| it.settled && it.settled_tag == 1)).await.unwrap();

    // It comes back with what it has and is told so: nobody knows whether it has not more, of a set that it refused.
    let mut again = client.call(STATE_OF_THE_WORLD, &[GOOD]).await;
    say(&again, &said(&first.version_info, ""));
    let same: DiscoveryResponse = again.hear_any().await;
    assert_eq!((&same.version_info, same.resources.len()), (&first.version_info, 1));
    say(&again, &said(&same.version_info, &same.nonce));
    fleet.world.send_replace((2, Arc::new(clusters("2", 20))));
    let second: DiscoveryResponse = again.hear_any().await;
    assert_ne!(second.version_info, first.version_info);
    assert_eq!(second.resources[0].value.len(), 20);

    say(&again, &said("", &"x".repeat(10_001)));
    assert_eq!(again.status().await.0, 8);
}

#[tokio::test]
async fn who_may_not_is_refused_from_the_headers() {
    let (_fleet, client) = fleet().await;
    let check = async |path: &str, headers: &[(&'static str, &'static str)], code: i32, message: &str| {
        let call = client.call(path, headers).await;
        assert!(call.response.headers().contains_key("grpc-status"), "{path} {headers:?}");
        assert_eq!(call.status().await, (code, message.to_owned()), "{path} {headers:?}");
    };
    let none = "one authorization header is needed";
    check(DELTA, &[], 16, none).await;
    check(DELTA, &[GOOD, GOOD], 16, none).await;
    check(DELTA, &[("authorization", "Bearer bad")], 16, "this token is not ours: 100 % sure…").await;
    check(
        "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters",
        &[GOOD],
        12,
        "there is no such method",
    )
    .await;
}

#[tokio::test]
async fn what_is_not_grpc_is_answered_in_http() {
    let (_fleet, client) = fleet().await;
    let call = client.send(post(DELTA, "application/grpc").method("GET")).await;
    assert_eq!(call.response.status(), 405);
    for content_type in ["application/json", "application/grpc-web", "application/grpc+json", ""] {
        let call = client.send(post(DELTA, content_type)).await;
        assert_eq!(call.response.status(), 415, "{content_type}");
    }
}

#[tokio::test]
async fn the_first_message_says_who_it_is() {
    let (_fleet, client) = fleet().await;
    let check = async |first: &[u8], code: i32, message: &str| {
        let call = client.call(DELTA, &[GOOD]).await;
        call.body.send(first.to_owned()).unwrap();
        assert_eq!(call.status().await, (code, message.to_owned()));
    };
    let says = |node_id: &str| framed(&request(node_id, CLUSTERS).encode_to_vec());
    check(&says("default.other"), 7, "the token is another's").await;
    check(&says("elsewhere.web"), 5, "there is no such mesh").await;
    check(&says("web"), 3, "not a node id").await;
    check(&says(""), 3, "the first request has no node.id").await;
    check(&framed(&[]), 3, "the first request has no node.id").await;
}

#[tokio::test]
async fn garbage_ends_its_stream_and_no_other() {
    let (mut fleet, client) = fleet().await;
    let mut bystander = client.open().await;
    let first = bystander.hear().await;
    let check = async |garbage: Vec<u8>, code: i32| {
        let mut call = client.open().await;
        call.hear().await;
        call.body.send(garbage.clone()).unwrap();
        assert_eq!(call.status().await.0, code, "{garbage:?}");
    };
    check(vec![1, 0, 0, 0, 0], 12).await;
    check(vec![0, 255, 255, 255, 255], 8).await;
    check(framed(&[0; 10_001]), 8).await;
    check(framed(&[255; 100]), 3).await;
    check(framed(&request("default.other", CLUSTERS).encode_to_vec()), 3).await;
    check(b"GET / HTTP/1.1\r\n\r\n".to_vec(), 12).await;

    bystander.acknowledge(&first.nonce);
    fleet.world.send_replace((2, Arc::new(clusters("2", 10))));
    let second = bystander.hear().await;
    bystander.acknowledge(&second.nonce);
    within(fleet.status.wait_for(|it| it.settled_tag == 2)).await.unwrap();
}

#[tokio::test]
async fn a_request_that_ends_ends_its_stream_in_order_or_not() {
    let (_fleet, client) = fleet().await;
    let check = async |last: Option<Vec<u8>>, code: i32| {
        let call = client.open().await;
        if let Some(last) = last {
            call.body.send(last).unwrap();
        }
        assert_eq!(call.end().status().await.0, code);
    };
    check(None, 0).await;
    check(Some(vec![0, 0, 0, 0, 9, 1]), 3).await;
}

#[tokio::test]
async fn types_that_are_not_served_are_not_answered_and_end_nothing() {
    let (_fleet, client) = fleet().await;
    let call = client.call(DELTA, &[GOOD]).await;
    call.say(&request("default.web", "type.googleapis.com/envoy.service.runtime.v3.Runtime"));
    call.say(&request("default.web", CLUSTERS));
    let mut call = call;
    assert_eq!(call.hear().await.type_url, CLUSTERS);
}

#[tokio::test]
async fn for_a_stream_that_never_reads_nothing_queues() {
    let (fleet, client) = fleet().await;
    let deaf = client.open().await;
    let mut other = client.open().await;
    // More than HTTP/2 windows hold.
    for tag in 2..50 {
        let heard = other.hear().await;
        other.acknowledge(&heard.nonce);
        fleet.world.send_replace((tag, Arc::new(clusters(&tag.to_string(), 1_000_000))));
        // Answers in time, so that newer clusters could go out if it read the older ones.
        deaf.acknowledge(&(tag - 1).to_string());
    }
    let last = other.hear().await;
    assert_eq!(last.resources[0].version, "49");
    // The other took every state; the deaf one stopped when its windows were full.
    let taken = *fleet.taken.borrow();
    assert!(taken < 49 + 20, "{taken}");
}

#[tokio::test]
async fn a_subscriber_can_end_the_stream() {
    let (fleet, client) = fleet().await;
    let mut stream = client.open().await;
    stream.hear().await;
    drop(fleet.world);
    assert_eq!(stream.status().await, (14, "the world has ended".to_owned()));
}
