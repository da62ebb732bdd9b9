use envoy_types::pb::envoy::config::cluster::v3::{
    Cluster,
    cluster::{ClusterDiscoveryType, DiscoveryType},
};
use envoy_types::pb::envoy::config::core::v3::{
    ConfigSource, ExtensionConfigSource, TransportSocket, transport_socket,
};
use envoy_types::pb::envoy::config::listener::v3::{
    Filter, FilterChain, Listener, ListenerFilter, filter, listener_filter,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, UpstreamTlsContext,
    common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
};
use envoy_types::pb::envoy::service::discovery::v3::Resource;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use prost::Message;

use super::*;

fn resource(name: &str, version: &str, message: &impl Message) -> Resource {
    let any = Any { type_url: String::new(), value: message.encode_to_vec() };
    Resource {
        name: name.to_owned(),
        version: version.to_owned(),
        resource: Some(any),
        ..Resource::default()
    }
}

fn cluster(name: &str, version: &str, discovery: DiscoveryType) -> Resource {
    let cluster_discovery_type = Some(ClusterDiscoveryType::Type(discovery.into()));
    resource(name, version, &Cluster { cluster_discovery_type, ..Cluster::default() })
}

fn listener(name: &str, version: &str, extension: &str) -> Resource {
    let chain = FilterChain { filters: vec![filter(extension)], ..FilterChain::default() };
    resource(name, version, &Listener { filter_chains: vec![chain], ..Listener::default() })
}

fn filter(extension: &str) -> Filter {
    let config_type = Some(filter::ConfigType::ConfigDiscovery(ExtensionConfigSource::default()));
    Filter { name: extension.to_owned(), config_type }
}

/// A certificate, and by whom that of the other side must be signed.
fn mutual_tls() -> CommonTlsContext {
    let secret =
        |name: &str| SdsSecretConfig { name: name.to_owned(), sds_config: Some(ConfigSource::default()) };
    let validation = CombinedCertificateValidationContext {
        validation_context_sds_secret_config: Some(secret("mesh_ca")),
        ..CombinedCertificateValidationContext::default()
    };
    CommonTlsContext {
        tls_certificate_sds_secret_configs: vec![secret("identity_cert")],
        validation_context_type: Some(ValidationContextType::CombinedValidationContext(validation)),
        ..CommonTlsContext::default()
    }
}

fn socket(context: Any) -> TransportSocket {
    let config_type = Some(transport_socket::ConfigType::TypedConfig(context));
    TransportSocket { config_type, ..TransportSocket::default() }
}

fn cluster_with_tls(name: &str, version: &str, discovery: DiscoveryType) -> Resource {
    let context =
        UpstreamTlsContext { common_tls_context: Some(mutual_tls()), ..UpstreamTlsContext::default() };
    let cluster_discovery_type = Some(ClusterDiscoveryType::Type(discovery.into()));
    let cluster = Cluster {
        cluster_discovery_type,
        transport_socket: Some(socket(pack_any(context))),
        ..Cluster::default()
    };
    resource(name, version, &cluster)
}

/// Two chains that name the same, and a listener filter.
fn inbound_with_tls(name: &str, version: &str) -> Resource {
    let context =
        DownstreamTlsContext { common_tls_context: Some(mutual_tls()), ..DownstreamTlsContext::default() };
    let chain = FilterChain {
        filters: vec![filter("rbac:in"), filter("tcp:in")],
        transport_socket: Some(socket(pack_any(context))),
        ..FilterChain::default()
    };
    let inspection = ListenerFilter {
        name: "tls_inspection".to_owned(),
        config_type: Some(listener_filter::ConfigType::ConfigDiscovery(ExtensionConfigSource::default())),
        ..ListenerFilter::default()
    };
    let listener = Listener {
        listener_filters: vec![inspection],
        filter_chains: vec![chain.clone(), chain],
        ..Listener::default()
    };
    resource(name, version, &listener)
}

/// Endpoints, secrets and extensions are kept by name; what they say does not matter to the conversation.
fn opaque(name: &str, version: &str) -> Resource {
    Resource { name: name.to_owned(), version: version.to_owned(), ..Resource::default() }
}

fn response(resource_type: ResourceType, nonce: &str, resources: Vec<Resource>) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        type_url: resource_type.url().to_owned(),
        nonce: nonce.to_owned(),
        resources,
        ..DeltaDiscoveryResponse::default()
    }
}

/// Requests in short: `cds ack n1`, `eds +a +b -c`, `lds {x=1}` for the versions held.
fn said(requests: &[DeltaDiscoveryRequest]) -> Vec<String> {
    requests.iter().map(in_short).collect()
}

fn in_short(request: &DeltaDiscoveryRequest) -> String {
    let mut words = match ResourceType::from_url(&request.type_url).expect("a known type") {
        ResourceType::Cluster => vec!["cds".to_owned()],
        ResourceType::Endpoint => vec!["eds".to_owned()],
        ResourceType::Secret => vec!["sds".to_owned()],
        ResourceType::Listener => vec!["lds".to_owned()],
        ResourceType::Extension => vec!["ecds".to_owned()],
    };
    words.extend(request.node.iter().map(|_| "node".to_owned()));
    words.extend((!request.response_nonce.is_empty()).then(|| format!("ack {}", request.response_nonce)));
    words.extend(request.resource_names_subscribe.iter().map(|name| format!("+{name}")));
    words.extend(request.resource_names_unsubscribe.iter().map(|name| format!("-{name}")));
    let held: BTreeMap<_, _> = request.initial_resource_versions.iter().collect();
    words.extend(held.iter().map(|(name, version)| format!("{name}={version}")));
    words.join(" ")
}

fn configured() -> Conversation {
    let mut it = Conversation::default();
    assert_eq!(said(&it.open(Node::default())), ["cds node"]);

    let clusters =
        vec![cluster("web", "1", DiscoveryType::Eds), cluster("local", "2", DiscoveryType::Static)];
    let requests = it.receive(&response(ResourceType::Cluster, "n1", clusters)).expect("asked for");
    assert_eq!(said(&requests), ["eds +web"], "clusters are not acknowledged while one is warming");
    assert!(!it.is_configured());

    let requests =
        it.receive(&response(ResourceType::Endpoint, "n2", vec![opaque("web", "3")])).expect("asked for");
    assert_eq!(said(&requests), ["eds ack n2", "cds ack n1", "lds"]);

    let listeners = vec![listener("in", "4", "tcp:in")];
    let requests = it.receive(&response(ResourceType::Listener, "n3", listeners)).expect("asked for");
    assert_eq!(said(&requests), ["ecds +tcp:in", "lds ack n3"]);
    assert!(!it.is_configured(), "an extension is missing");

    let extensions = vec![opaque("tcp:in", "5")];
    let requests = it.receive(&response(ResourceType::Extension, "n4", extensions)).expect("asked for");
    assert_eq!(said(&requests), ["ecds ack n4"]);
    assert!(it.is_configured());
    it
}

#[test]
fn a_proxy_comes_up_clusters_first_and_listeners_when_warm() {
    configured();
}

/// Of a mesh with mutual TLS, in which nothing but listeners is still to come.
fn warm_with_tls() -> Conversation {
    let mut it = Conversation::default();
    it.open(Node::default());
    let clusters = vec![
        cluster_with_tls("api", "1", DiscoveryType::Eds),
        cluster_with_tls("web", "1", DiscoveryType::Eds),
        cluster("local", "2", DiscoveryType::Static),
    ];
    let requests = it.receive(&response(ResourceType::Cluster, "n1", clusters)).expect("asked for");
    assert_eq!(said(&requests), ["eds +api +web"], "secrets are asked for when the endpoints have come");

    let endpoints = vec![opaque("api", "3"), opaque("web", "3")];
    let requests = it.receive(&response(ResourceType::Endpoint, "n2", endpoints)).expect("asked for");
    assert_eq!(
        said(&requests),
        ["sds +identity_cert", "sds +mesh_ca", "eds ack n2"],
        "each secret once, in a message of its own, and the clusters are still warming"
    );

    let certificate = vec![opaque("identity_cert", "4")];
    let requests = it.receive(&response(ResourceType::Secret, "n3", certificate)).expect("asked for");
    assert_eq!(said(&requests), ["sds ack n3"]);
    let cas = vec![opaque("mesh_ca", "5")];
    let requests = it.receive(&response(ResourceType::Secret, "n4", cas)).expect("asked for");
    assert_eq!(said(&requests), ["sds ack n4", "cds ack n1", "lds"]);
    it
}

fn configured_with_tls() -> Conversation {
    let mut it = warm_with_tls();
    let listeners = vec![inbound_with_tls("in", "6")];
    let requests = it.receive(&response(ResourceType::Listener, "n5", listeners)).expect("asked for");
    assert_eq!(
        said(&requests),
        ["ecds +rbac:in", "ecds +tcp:in", "ecds +tls_inspection", "lds ack n5"],
        "each extension once, in a message of its own, and the secrets are there"
    );
    let extensions = vec![opaque("rbac:in", "7"), opaque("tcp:in", "8")];
    it.receive(&response(ResourceType::Extension, "n6", extensions)).expect("asked for");
    assert!(!it.is_configured(), "the listener filter is missing");
    let inspection = vec![opaque("tls_inspection", "9")];
    it.receive(&response(ResourceType::Extension, "n7", inspection)).expect("asked for");
    assert!(it.is_configured());
    it
}

#[test]
fn with_tls_clusters_warm_until_their_secrets_are_there_and_listeners_wait_for_all_that_they_name() {
    configured_with_tls();
}

#[test]
fn a_listener_waits_for_secrets_that_no_cluster_names() {
    let mut it = configured();
    let listeners = vec![inbound_with_tls("in", "6")];
    let requests = it.receive(&response(ResourceType::Listener, "n5", listeners)).expect("asked for");
    assert_eq!(
        said(&requests),
        ["ecds +rbac:in", "ecds +tls_inspection", "sds +identity_cert", "sds +mesh_ca", "lds ack n5"]
    );
    let extensions = vec![opaque("rbac:in", "7"), opaque("tls_inspection", "8")];
    it.receive(&response(ResourceType::Extension, "n6", extensions)).expect("asked for");
    assert!(!it.is_configured());
    let secrets = vec![opaque("identity_cert", "9"), opaque("mesh_ca", "9")];
    it.receive(&response(ResourceType::Secret, "n7", secrets)).expect("asked for");
    assert!(it.is_configured());
}

#[test]
fn secrets_are_given_up_when_neither_cluster_nor_listener_names_them() {
    let mut it = configured_with_tls();
    let plain = vec![cluster("api", "2", DiscoveryType::Eds), cluster("web", "2", DiscoveryType::Eds)];
    let requests = it.receive(&response(ResourceType::Cluster, "n8", plain)).expect("asked for");
    assert_eq!(said(&requests), [""; 0], "the listener names them");
    let plain = vec![listener("in", "7", "tcp:in")];
    let requests = it.receive(&response(ResourceType::Listener, "n9", plain)).expect("asked for");
    assert_eq!(
        said(&requests),
        ["ecds -rbac:in", "ecds -tls_inspection", "sds -identity_cert", "sds -mesh_ca", "lds ack n9"]
    );
}

#[test]
fn on_a_new_stream_it_says_which_secrets_it_holds_and_asks_for_those_for_which_it_had_no_time() {
    let mut it = configured_with_tls();
    assert_eq!(
        said(&it.open(Node::default()))[2..4],
        ["sds +identity_cert +mesh_ca identity_cert=4 mesh_ca=5", "lds in=6"]
    );

    let mut it = configured();
    let clusters = vec![cluster_with_tls("web", "6", DiscoveryType::Eds)];
    it.receive(&response(ResourceType::Cluster, "n5", clusters)).expect("asked for");
    assert_eq!(said(&it.open(Node::default()))[2..4], ["sds +identity_cert", "sds +mesh_ca"]);
}

#[test]
fn a_transport_socket_that_is_none_of_tls_is_an_error() {
    let mut it = Conversation::default();
    it.open(Node::default());
    let other = Any { type_url: "type.googleapis.com/other".to_owned(), value: Vec::new() };
    let cluster = Cluster { transport_socket: Some(socket(other)), ..Cluster::default() };
    assert_eq!(
        it.receive(&response(ResourceType::Cluster, "n1", vec![resource("web", "1", &cluster)])),
        Err(ProtocolError::Undecodable(ResourceType::Cluster, "web".to_owned()))
    );
}

#[test]
fn an_empty_configuration_is_a_configuration() {
    let mut it = Conversation::default();
    it.open(Node::default());
    let requests = it.receive(&response(ResourceType::Cluster, "n1", Vec::new())).expect("asked for");
    assert_eq!(said(&requests), ["cds ack n1", "lds"]);
    it.receive(&response(ResourceType::Listener, "n2", Vec::new())).expect("asked for");
    assert!(it.is_configured());
}

#[test]
fn a_changed_cluster_is_acknowledged_when_its_endpoints_came_again() {
    let mut it = configured();
    let clusters = vec![cluster("web", "6", DiscoveryType::Eds)];
    let requests = it.receive(&response(ResourceType::Cluster, "n5", clusters)).expect("asked for");
    assert_eq!(said(&requests), [""; 0], "the name is subscribed already");
    assert!(!it.is_configured());
    let requests =
        it.receive(&response(ResourceType::Endpoint, "n6", vec![opaque("web", "3")])).expect("asked for");
    assert_eq!(said(&requests), ["eds ack n6", "cds ack n5"]);
}

#[test]
fn what_is_removed_is_no_longer_asked_for() {
    let mut it = configured();
    let removal = |resource_type, nonce, name: &str| DeltaDiscoveryResponse {
        removed_resources: vec![name.to_owned()],
        ..response(resource_type, nonce, Vec::new())
    };
    let requests = it.receive(&removal(ResourceType::Listener, "n5", "in")).expect("asked for");
    assert_eq!(said(&requests), ["ecds -tcp:in", "lds ack n5"]);
    let requests = it.receive(&removal(ResourceType::Cluster, "n6", "web")).expect("asked for");
    assert_eq!(said(&requests), ["eds -web", "cds ack n6"]);
    assert!(it.is_configured());
}

#[test]
fn on_a_new_stream_it_says_what_it_holds_and_waits_for_a_word_about_clusters_and_listeners() {
    let mut it = configured();
    let requests = it.open(Node::default());
    assert_eq!(
        said(&requests),
        ["cds node local=2 web=1", "eds +web web=3", "lds in=4", "ecds +tcp:in tcp:in=5"]
    );
    assert!(!it.is_configured());
    it.receive(&response(ResourceType::Cluster, "m1", Vec::new())).expect("asked for");
    assert!(!it.is_configured());
    it.receive(&response(ResourceType::Listener, "m2", Vec::new())).expect("asked for");
    assert!(it.is_configured(), "what it holds by name needs no answer");
}

#[test]
fn what_was_not_asked_for_is_an_error() {
    let mut it = configured();
    let other = || vec![opaque("other", "1")];
    assert_eq!(
        it.receive(&response(ResourceType::Endpoint, "n5", other())),
        Err(ProtocolError::NotSubscribed(ResourceType::Endpoint, "other".to_owned()))
    );
    assert_eq!(
        it.receive(&response(ResourceType::Secret, "n5", other())),
        Err(ProtocolError::NotSubscribed(ResourceType::Secret, "other".to_owned()))
    );
    assert_eq!(
        it.receive(&response(ResourceType::Cluster, "n6", other())),
        Err(ProtocolError::Undecodable(ResourceType::Cluster, "other".to_owned()))
    );
    let unknown = DeltaDiscoveryResponse { type_url: "x".to_owned(), ..DeltaDiscoveryResponse::default() };
    assert_eq!(it.receive(&unknown), Err(ProtocolError::UnknownType("x".to_owned())));
}

#[test]
fn what_is_held_in_the_same_version_is_nothing_new() {
    let it = configured();
    let endpoints = |resources| response(ResourceType::Endpoint, "n5", resources);
    let removal = |name: &str| DeltaDiscoveryResponse {
        removed_resources: vec![name.to_owned()],
        ..endpoints(Vec::new())
    };
    for (response, expected) in [
        (endpoints(Vec::new()), Novelty::Known),
        (endpoints(vec![opaque("web", "3")]), Novelty::Known),
        (endpoints(vec![opaque("web", "4")]), Novelty::New),
        (endpoints(vec![opaque("web", "3"), opaque("other", "1")]), Novelty::New),
        (removal("web"), Novelty::New),
        (removal("nobody"), Novelty::Known),
    ] {
        assert_eq!(it.novelty(&response), expected, "{response:?}");
    }
}
