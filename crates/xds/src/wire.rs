//! What is read of a request: the fields that are used, and no others.
//!
//! Envoy's first request carries a Node of some 40 KB, most of it the list of its extensions. prost skips the fields
//! that a message does not name without allocating anything.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use prost::Message;

use crate::{Node, Request};

/// `envoy.service.discovery.v3.DeltaDiscoveryRequest`, in part.
#[derive(Clone, PartialEq, Message)]
struct DeltaDiscoveryRequest {
    #[prost(message, optional, tag = "1")]
    node: Option<WireNode>,
    #[prost(string, tag = "2")]
    type_url: String,
    #[prost(string, repeated, tag = "3")]
    resource_names_subscribe: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    resource_names_unsubscribe: Vec<String>,
    #[prost(btree_map = "string, string", tag = "5")]
    initial_resource_versions: BTreeMap<String, String>,
    #[prost(string, tag = "6")]
    response_nonce: String,
    #[prost(message, optional, tag = "7")]
    error_detail: Option<WireStatus>,
}

/// `google.rpc.Status`, in part.
#[derive(Clone, PartialEq, Message)]
struct WireStatus {
    #[prost(string, tag = "2")]
    message: String,
}

/// `envoy.config.core.v3.Node`, in part.
#[derive(Clone, PartialEq, Message)]
struct WireNode {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "3")]
    metadata: Option<Struct>,
    #[prost(message, optional, tag = "8")]
    user_agent_build_version: Option<BuildVersion>,
}

/// `envoy.config.core.v3.BuildVersion`, in part.
#[derive(Clone, PartialEq, Message)]
struct BuildVersion {
    #[prost(message, optional, tag = "1")]
    version: Option<SemanticVersion>,
}

/// `envoy.type.v3.SemanticVersion`.
#[derive(Clone, PartialEq, Message)]
struct SemanticVersion {
    #[prost(uint32, tag = "1")]
    major_number: u32,
    #[prost(uint32, tag = "2")]
    minor_number: u32,
    #[prost(uint32, tag = "3")]
    patch: u32,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, Message)]
struct Struct {
    #[prost(map = "string, message", tag = "1")]
    fields: HashMap<String, Value>,
}

/// `google.protobuf.Value`, of which only strings count.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, optional, tag = "3")]
    string_value: Option<String>,
}

/// The node is there in the first request of a stream, and in later ones if the client likes.
pub(crate) fn read_delta_request(message: Bytes) -> Result<(Option<Node>, Request), prost::DecodeError> {
    let request = DeltaDiscoveryRequest::decode(message)?;
    let node = request.node.map(Node::from);
    let request = Request {
        type_url: request.type_url,
        response_nonce: request.response_nonce,
        error: request.error_detail.map(|it| it.message),
        subscribe: request.resource_names_subscribe,
        unsubscribe: request.resource_names_unsubscribe,
        initial_versions: request.initial_resource_versions,
    };
    Ok((node, request))
}

impl From<WireNode> for Node {
    fn from(node: WireNode) -> Self {
        let version = node.user_agent_build_version.and_then(|it| it.version);
        let version = version.map(|it| format!("{}.{}.{}", it.major_number, it.minor_number, it.patch));
        let fields = node.metadata.map(|it| it.fields).unwrap_or_default();
        let metadata = fields.into_iter().filter_map(|(name, value)| Some((name, value.string_value?)));
        Self { id: node.id, version: version.unwrap_or_default(), metadata: metadata.collect() }
    }
}
