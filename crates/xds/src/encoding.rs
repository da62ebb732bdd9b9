//! Responses as gRPC messages, and the few protobuf fields of them, written by hand.
//!
//! A generic codec keeps, for a stream's life, a write buffer as large as the largest response. Here a resource goes from
//! its one encoded buffer into every stream without being copied. What is written is what prost would write, but for the
//! order of fields, which protobuf leaves free.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    Response,
    frames::{FrameError, PREFIX_BYTES},
};

/// Parts shorter than this are joined into one DATA frame; longer ones are shared. A frame costs nine bytes and some
/// bookkeeping, a copy costs what it copies.
const JOINED_BELOW_BYTES: usize = 4096;

/// A response as one gRPC message, cut into pieces for DATA frames.
pub(crate) fn response(response: &Response) -> Result<Vec<Bytes>, FrameError> {
    match &response.state_version {
        None => delta_response(response),
        Some(version) => state_response(response, version),
    }
}

/// A `DeltaDiscoveryResponse`.
fn delta_response(response: &Response) -> Result<Vec<Bytes>, FrameError> {
    let mut tail = BytesMut::new();
    for name in &response.removed {
        put_bytes(&mut tail, field::RESPONSE_REMOVED, name.as_bytes());
    }
    put_type_and_nonce(&mut tail, response);
    message(response.resources.iter().map(|it| it.chunk.clone()), tail)
}

/// A `DiscoveryResponse`.
fn state_response(response: &Response, version: &str) -> Result<Vec<Bytes>, FrameError> {
    let mut tail = BytesMut::new();
    put_bytes(&mut tail, field::RESPONSE_VERSION, version.as_bytes());
    put_type_and_nonce(&mut tail, response);
    message(response.resources.iter().map(|it| it.any()), tail)
}

fn put_type_and_nonce(out: &mut BytesMut, response: &Response) {
    put_bytes(out, field::RESPONSE_TYPE_URL, response.resource_type.type_url().as_bytes());
    put_bytes(out, field::RESPONSE_NONCE, response.nonce.to_string().as_bytes());
}

fn message(resources: impl Iterator<Item = Bytes> + Clone, tail: BytesMut) -> Result<Vec<Bytes>, FrameError> {
    let bytes = resources.clone().map(|it| it.len()).sum::<usize>() + tail.len();
    let length = u32::try_from(bytes).map_err(|_| FrameError::ResponseTooLarge { bytes })?;
    let mut prefix = BytesMut::with_capacity(PREFIX_BYTES);
    prefix.put_u8(0);
    prefix.put_u32(length);
    Ok(join_small([prefix.freeze()].into_iter().chain(resources).chain([tail.freeze()])))
}

fn join_small(parts: impl Iterator<Item = Bytes>) -> Vec<Bytes> {
    let (mut joined, mut pieces) = (BytesMut::new(), Vec::new());
    for part in parts {
        if part.len() < JOINED_BELOW_BYTES {
            joined.extend_from_slice(&part);
            continue;
        }
        if !joined.is_empty() {
            pieces.push(joined.split().freeze());
        }
        pieces.push(part);
    }
    if !joined.is_empty() {
        pieces.push(joined.freeze());
    }
    pieces
}

/// One element of `DeltaDiscoveryResponse.resources`, and where in it the resource begins as an element of
/// `DiscoveryResponse.resources`: the `Any` comes last, and the two fields have one number and type, so that one buffer
/// serves both protocols.
pub(crate) fn resource(name: &str, version: &str, type_url: &str, message: &[u8]) -> (Bytes, usize) {
    let any = bytes_len(type_url.len()) + bytes_len(message.len());
    let resource = bytes_len(name.len()) + bytes_len(version.len()) + bytes_len(any);
    let mut chunk = BytesMut::with_capacity(bytes_len(resource));
    put_key(&mut chunk, field::RESPONSE_RESOURCES, resource);
    put_bytes(&mut chunk, field::RESOURCE_NAME, name.as_bytes());
    put_bytes(&mut chunk, field::RESOURCE_VERSION, version.as_bytes());
    let any_at = chunk.len();
    put_key(&mut chunk, field::RESOURCE_ANY, any);
    put_bytes(&mut chunk, field::ANY_TYPE_URL, type_url.as_bytes());
    put_bytes(&mut chunk, field::ANY_VALUE, message);
    (chunk.freeze(), any_at)
}

/// A `ClusterLoadAssignment` without endpoints.
pub(crate) fn cluster_load_assignment(cluster_name: &str) -> Bytes {
    let mut message = BytesMut::with_capacity(bytes_len(cluster_name.len()));
    put_bytes(&mut message, field::ASSIGNMENT_CLUSTER_NAME, cluster_name.as_bytes());
    message.freeze()
}

/// Field numbers of discovery.proto, endpoint.proto and any.proto. All below 16, so that a key is one byte.
mod field {
    /// Of the state-of-the-world protocol.
    pub(super) const RESPONSE_VERSION: u8 = 1;
    pub(super) const RESPONSE_RESOURCES: u8 = 2;
    pub(super) const RESPONSE_TYPE_URL: u8 = 4;
    pub(super) const RESPONSE_NONCE: u8 = 5;
    pub(super) const RESPONSE_REMOVED: u8 = 6;
    pub(super) const RESOURCE_VERSION: u8 = 1;
    pub(super) const RESOURCE_ANY: u8 = 2;
    pub(super) const RESOURCE_NAME: u8 = 3;
    pub(super) const ANY_TYPE_URL: u8 = 1;
    pub(super) const ANY_VALUE: u8 = 2;
    pub(super) const ASSIGNMENT_CLUSTER_NAME: u8 = 1;
}

const LENGTH_DELIMITED: u8 = 2;

fn put_bytes(out: &mut BytesMut, number: u8, value: &[u8]) {
    put_key(out, number, value.len());
    out.put_slice(value);
}

fn put_key(out: &mut BytesMut, number: u8, length: usize) {
    out.put_u8(number << 3 | LENGTH_DELIMITED);
    prost::encoding::encode_varint(length as u64, out);
}

/// Length of a length-delimited field with its key.
fn bytes_len(length: usize) -> usize {
    1 + prost::encoding::encoded_len_varint(length as u64) + length
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use envoy_types::pb::envoy::{
        config::endpoint::v3::ClusterLoadAssignment,
        service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse},
    };
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::{Resource, ResourceType};

    /// What prost reads of what we write.
    fn read(response: &Response) -> DeltaDiscoveryResponse {
        DeltaDiscoveryResponse::decode(written(response)).unwrap()
    }

    fn written(response: &Response) -> Bytes {
        let written = super::response(response).unwrap().concat();
        let (prefix, message) = written.split_at(PREFIX_BYTES);
        assert_eq!(
            (prefix[0], prefix[1..].to_vec()),
            (0, u32::try_from(message.len()).unwrap().to_be_bytes().to_vec())
        );
        Bytes::copy_from_slice(message)
    }

    proptest! {
        #[test]
        fn prost_reads_back_what_is_written(
            nonce: u64,
            resources in prop::collection::vec(
                (".{0,20}", ".{0,20}", prop::collection::vec(any::<u8>(), 0..10_000)), 0..5,
            ),
            removed in prop::collection::vec(".{0,200}", 0..5),
            state_version in ".{0,20}",
        ) {
            let resource_type = ResourceType::Listener;
            let mut response = Response {
                resource_type,
                nonce,
                resources: resources.iter().map(|(name, version, message)| {
                    Arc::new(Resource::new(resource_type, name.as_str().into(), version.as_str().into(), message))
                }).collect(),
                removed: removed.iter().map(|it| it.as_str().into()).collect(),
                state_version: None,
            };
            let read = read(&response);
            prop_assert_eq!(read.type_url, resource_type.type_url());
            prop_assert_eq!(read.nonce, nonce.to_string());
            prop_assert_eq!(read.removed_resources, removed);
            let read: Vec<_> = read.resources.into_iter().map(|it| {
                let any = it.resource.unwrap();
                assert_eq!(any.type_url, resource_type.type_url());
                (it.name, it.version, any.value)
            }).collect();
            prop_assert_eq!(&read, &resources);

            response.state_version = Some(state_version.clone());
            let read = DiscoveryResponse::decode(written(&response)).unwrap();
            prop_assert_eq!((read.version_info, read.nonce), (state_version, nonce.to_string()));
            prop_assert_eq!(read.type_url, resource_type.type_url());
            prop_assert!(read.resources.iter().all(|it| it.type_url == resource_type.type_url()));
            let read: Vec<_> = read.resources.into_iter().map(|it| it.value).collect();
            prop_assert_eq!(read, resources.into_iter().map(|(_, _, message)| message).collect::<Vec<_>>());
        }
    }

    #[test]
    fn large_resources_are_shared_and_small_ones_joined() {
        let resource = |name: &str, bytes: usize| {
            Arc::new(Resource::new(ResourceType::Endpoint, name.into(), "1".into(), &vec![7; bytes]))
        };
        let (small, large) = (resource("small", 100), resource("large", JOINED_BELOW_BYTES));
        let response = Response {
            resource_type: ResourceType::Endpoint,
            nonce: 1,
            resources: vec![small.clone(), small.clone(), large.clone(), small],
            removed: Vec::new(),
            state_version: None,
        };
        let pieces = super::response(&response).unwrap();
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[1].as_ptr(), large.chunk.as_ptr());
        let pieces = super::response(&Response { state_version: Some(String::new()), ..response }).unwrap();
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[1].as_ptr(), large.any().as_ptr());
    }

    #[test]
    fn a_cluster_without_endpoints_has_its_name() {
        let assignment = ClusterLoadAssignment::decode(cluster_load_assignment("a")).unwrap();
        assert_eq!(assignment, ClusterLoadAssignment { cluster_name: "a".to_owned(), ..Default::default() });
    }
}
