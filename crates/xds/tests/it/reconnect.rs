//! What a client that comes back is told, and in which order.

use std::{collections::HashMap, sync::Arc};

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use xds::{Resource, ResourceType, ServerSettings, Snapshot};

use crate::{
    client::{CLUSTERS, Client, DELTA, request},
    fleet::Fleet,
};

const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
const LISTENERS: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const EXTENSIONS: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
const SECRETS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// The first request of a type: these names, held in these versions.
fn held(type_url: &str, names: &[&str], versions: &[(&str, &str)]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: type_url.to_owned(),
        resource_names_subscribe: names.iter().map(|it| (*it).to_owned()).collect(),
        initial_resource_versions: versions
            .iter()
            .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
            .collect::<HashMap<_, _>>(),
        ..DeltaDiscoveryRequest::default()
    }
}

/// The first request of a stream.
fn first(type_url: &str, versions: &[(&str, &str)]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { node: request("default.web", type_url).node, ..held(type_url, &[], versions) }
}

/// A world in which the extension has moved from the cluster `old`, which has gone, to `new`.
async fn moved() -> (Fleet, Client) {
    let fleet = Fleet::start(ServerSettings::default());
    let resource = |resource_type, name: &str, version: &str| {
        Arc::new(Resource::new(resource_type, Arc::from(name), Arc::from(version), b"content"))
    };
    let now: Snapshot = [
        resource(ResourceType::Cluster, "new", "1"),
        resource(ResourceType::Endpoint, "new", "1"),
        resource(ResourceType::Listener, "l", "1"),
        resource(ResourceType::Extension, "filter", "2"),
    ]
    .into_iter()
    .collect();
    fleet.world.send_replace((2, Arc::new(now)));
    let client = Client::connect(fleet.address, &fleet.root).await;
    (fleet, client)
}

/// It holds an extension that works. A newer one may refer to clusters that it does not have yet, and Envoy closes every
/// connection to those, so it comes when they are there, as in any other push.
#[tokio::test]
async fn an_extension_that_changed_while_its_holder_was_away_waits_for_the_clusters_that_came_with_it() {
    let (_fleet, client) = moved().await;
    let mut stream = client.call(DELTA, &[("authorization", "Bearer good")]).await;
    stream.say(&first(CLUSTERS, &[("old", "1")]));
    let clusters = stream.hear().await;
    assert_eq!(clusters.resources[0].name, "new");
    stream.say(&held(EXTENSIONS, &["filter"], &[("filter", "1")]));
    // It warms: it asks for the endpoints of the new cluster, and acknowledges that when it has them.
    stream.say(&held(ENDPOINTS, &["new"], &[]));
    let heard = stream.hear().await;
    assert_eq!(heard.type_url, ENDPOINTS, "what changed comes when its clusters are there");
    stream.acknowledge(&clusters.nonce);
    let heard = stream.hear().await;
    assert_eq!((heard.type_url.as_str(), heard.resources[0].version.as_str()), (EXTENSIONS, "2"));
}

/// What it holds of extensions may refer to any cluster that it holds, and on a new stream it says only after its clusters
/// and listeners which extensions these are.
#[tokio::test]
async fn a_cluster_that_went_while_its_holder_was_away_stays_until_what_refers_to_it_has_gone() {
    let (_fleet, client) = moved().await;
    let mut stream = client.call(DELTA, &[("authorization", "Bearer good")]).await;
    stream.say(&first(CLUSTERS, &[("old", "1")]));
    let clusters = stream.hear().await;
    assert!(clusters.removed_resources.is_empty(), "something may refer to it");
    stream.say(&held(LISTENERS, &[], &[("l", "1")]));
    let listeners = stream.hear().await;
    stream.answer(LISTENERS, &listeners.nonce);
    stream.acknowledge(&clusters.nonce);
    stream.say(&held(EXTENSIONS, &["filter"], &[("filter", "1")]));
    let extension = stream.hear().await;
    assert_eq!(extension.type_url, EXTENSIONS, "the cluster goes when nothing refers to it any more");
    stream.answer(EXTENSIONS, &extension.nonce);
    assert_eq!(stream.hear().await.removed_resources, ["old"]);
}

/// It is in use until it goes, and who asks for its clusters first is not warming: nobody waits for these endpoints.
#[tokio::test]
async fn a_cluster_that_is_about_to_go_keeps_its_endpoints() {
    let (_fleet, client) = moved().await;
    let mut stream = client.call(DELTA, &[("authorization", "Bearer good")]).await;
    stream.say(&first(CLUSTERS, &[("old", "1")]));
    assert_eq!(stream.hear().await.resources[0].name, "new");
    stream.say(&held(ENDPOINTS, &["old"], &[("old", "7")]));
    stream.say(&held(SECRETS, &["unrelated"], &[]));
    assert_eq!(stream.hear().await.type_url, SECRETS, "nothing is said of endpoints that are in use");
}
