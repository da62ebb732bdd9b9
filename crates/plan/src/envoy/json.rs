//! Envoy's messages in the JSON form of protobuf, for people to read and for tests to compare: two encodings of one
//! message may differ, their JSON cannot.

use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;

use super::secrets;
use crate::descriptors;

/// Why a message has no JSON form, or a JSON no message.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error("{0} is no type of Envoy's v3 API that this version knows")]
    UnknownType(String),
    #[error("these bytes are no {type_url}: {source}")]
    Undecodable { type_url: String, source: prost::DecodeError },
    #[error("this is no {type_url}: {source}")]
    Mismatch { type_url: String, source: serde_json::Error },
}

/// An encoded message, with the fields that are set, by the names that Envoy's documentation uses, in byte order.
pub fn print(type_url: &str, message: &[u8]) -> Result<Value, JsonError> {
    serialize(type_url, &decode(type_url, message)?)
}

/// The same, with `<redacted>` in the place of every secret, also in what is nested as `Any`.
pub fn print_without_secrets(type_url: &str, message: &[u8]) -> Result<Value, JsonError> {
    serialize(type_url, &secrets::without_secrets(decode(type_url, message)?))
}

fn decode(type_url: &str, message: &[u8]) -> Result<DynamicMessage, JsonError> {
    DynamicMessage::decode(descriptor(type_url)?, message)
        .map_err(|source| JsonError::Undecodable { type_url: type_url.to_owned(), source })
}

fn serialize(type_url: &str, message: &DynamicMessage) -> Result<Value, JsonError> {
    let options = SerializeOptions::new().use_proto_field_name(true);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|source| JsonError::Mismatch { type_url: type_url.to_owned(), source })
}

/// The encoded message that a JSON stands for. Strict: a field that the type does not have is an error, also in what is
/// nested as `Any`.
pub fn parse(type_url: &str, json: &Value) -> Result<Vec<u8>, JsonError> {
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message = DynamicMessage::deserialize_with_options(descriptor(type_url)?, json, &options)
        .map_err(|source| JsonError::Mismatch { type_url: type_url.to_owned(), source })?;
    Ok(prost::Message::encode_to_vec(&message))
}

fn descriptor(type_url: &str) -> Result<MessageDescriptor, JsonError> {
    let name = type_url.rsplit_once('/').map_or(type_url, |(_, name)| name);
    descriptors::v3().get_message_by_name(name).ok_or_else(|| JsonError::UnknownType(type_url.to_owned()))
}
