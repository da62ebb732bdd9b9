//! What is read of a request: the fields that are used, and no others.
//!
//! Envoy's first request carries a Node of some 40 KB, most of it the list of its extensions. prost skips the fields
//! that a message does not name without allocating anything.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use prost::Message;

use crate::{Node, Request, StateRequest};

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

/// `envoy.service.discovery.v3.DiscoveryRequest`, in part.
#[derive(Clone, PartialEq, Message)]
struct DiscoveryRequest {
    #[prost(string, tag = "1")]
    version_info: String,
    #[prost(message, optional, tag = "2")]
    node: Option<WireNode>,
    #[prost(string, repeated, tag = "3")]
    resource_names: Vec<String>,
    #[prost(string, tag = "4")]
    type_url: String,
    #[prost(string, tag = "5")]
    response_nonce: String,
    #[prost(message, optional, tag = "6")]
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

/// The same of the state-of-the-world protocol.
pub(crate) fn read_state_request(message: Bytes) -> Result<(Option<Node>, StateRequest), prost::DecodeError> {
    let request = DiscoveryRequest::decode(message)?;
    let node = request.node.map(Node::from);
    let request = StateRequest {
        type_url: request.type_url,
        version: request.version_info,
        response_nonce: request.response_nonce,
        error: request.error_detail.map(|it| it.message),
        names: request.resource_names,
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

#[cfg(test)]
mod tests {
    use envoy_types::pb::{
        envoy::{
            config::core::v3::{self as core, Extension, node::UserAgentVersionType},
            service::discovery::v3 as discovery,
            r#type::v3 as types,
        },
        google::{protobuf, rpc},
    };

    use super::*;

    fn string(value: &str) -> protobuf::Value {
        protobuf::Value { kind: Some(protobuf::value::Kind::StringValue(value.to_owned())) }
    }

    #[test]
    fn of_what_envoy_says_what_is_used_is_read() {
        let version = types::SemanticVersion { major_number: 1, minor_number: 40, patch: 2 };
        let build = core::BuildVersion { version: Some(version), ..Default::default() };
        let fields = [
            ("kuma.workDir".to_owned(), string("/run/web")),
            ("empty".to_owned(), string("")),
            ("number".to_owned(), protobuf::Value { kind: Some(protobuf::value::Kind::NumberValue(1.0)) }),
            ("nothing".to_owned(), protobuf::Value { kind: None }),
        ];
        let node = core::Node {
            id: "default.web".to_owned(),
            cluster: "web".to_owned(),
            metadata: Some(protobuf::Struct { fields: fields.into_iter().collect() }),
            extensions: vec![Extension { name: "x".repeat(100), ..Default::default() }; 380],
            user_agent_version_type: Some(UserAgentVersionType::UserAgentBuildVersion(build)),
            ..Default::default()
        };
        let sent = discovery::DeltaDiscoveryRequest {
            node: Some(node),
            type_url: "type".to_owned(),
            resource_names_subscribe: vec!["a".to_owned()],
            resource_names_unsubscribe: vec!["b".to_owned()],
            initial_resource_versions: [("a".to_owned(), "1".to_owned())].into_iter().collect(),
            response_nonce: "7".to_owned(),
            error_detail: Some(rpc::Status { code: 13, message: "no".to_owned(), details: Vec::new() }),
            ..Default::default()
        };
        let (node, request) = read_delta_request(sent.encode_to_vec().into()).unwrap();
        let expected_node = Node {
            id: "default.web".to_owned(),
            version: "1.40.2".to_owned(),
            metadata: [("empty", ""), ("kuma.workDir", "/run/web")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter()
                .collect(),
        };
        let expected = Request {
            type_url: "type".to_owned(),
            response_nonce: "7".to_owned(),
            error: Some("no".to_owned()),
            subscribe: vec!["a".to_owned()],
            unsubscribe: vec!["b".to_owned()],
            initial_versions: [("a".to_owned(), "1".to_owned())].into_iter().collect(),
        };
        assert_eq!((node, request), (Some(expected_node.clone()), expected));

        let sent = discovery::DiscoveryRequest {
            version_info: "5".to_owned(),
            node: sent.node,
            resource_names: vec!["a".to_owned(), "b".to_owned()],
            type_url: "type".to_owned(),
            response_nonce: "7".to_owned(),
            error_detail: sent.error_detail,
            ..Default::default()
        };
        let expected = StateRequest {
            type_url: "type".to_owned(),
            version: "5".to_owned(),
            response_nonce: "7".to_owned(),
            error: Some("no".to_owned()),
            names: vec!["a".to_owned(), "b".to_owned()],
        };
        let read = read_state_request(sent.encode_to_vec().into()).unwrap();
        assert_eq!(read, (Some(expected_node), expected));
    }

    #[test]
    fn an_error_without_a_message_is_an_error_and_an_empty_request_is_none() {
        let sent = discovery::DeltaDiscoveryRequest {
            error_detail: Some(rpc::Status::default()),
            ..Default::default()
        };
        assert_eq!(read_delta_request(sent.encode_to_vec().into()).unwrap().1.error, Some(String::new()));
        assert_eq!(read_delta_request(Bytes::new()).unwrap(), (None, Request::default()));
    }
}
