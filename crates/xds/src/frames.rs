//! gRPC messages and the few protobuf fields of a delta response, read and written by hand.
//!
//! A generic gRPC codec keeps, for a stream's life, a read buffer as large as the largest request (Envoy's 40 KB Node)
//! and a write buffer as large as the largest response. Here nothing is kept between two messages, and a resource goes
//! from its one encoded buffer into every stream without being copied. What is written here is what prost would write,
//! but for the order of fields, which protobuf leaves free.

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::Response;

/// gRPC over HTTP/2: one byte "compressed", four bytes length, big endian.
const PREFIX_BYTES: usize = 5;

/// Parts shorter than this are joined into one DATA frame; longer ones are shared. A frame costs nine bytes and some
/// bookkeeping, a copy costs what it copies.
const JOINED_BELOW_BYTES: usize = 4096;

/// Why a peer's bytes are not a gRPC message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the message is compressed, and no compression was agreed on")]
    Compressed,
    #[error("the message has {bytes} bytes, more than the {max} that are accepted")]
    TooLarge { bytes: usize, max: usize },
    #[error("the request ended inside a message")]
    Truncated,
    #[error("the connection was lost")]
    Lost,
    #[error("a response of {bytes} bytes does not fit a gRPC message")]
    ResponseTooLarge { bytes: usize },
}

/// Joins the DATA frames of a request body to messages.
pub(crate) struct Messages<B> {
    body: B,
    joiner: Joiner,
}

/// The part of [`Messages`] without I/O. Holds no buffer between two messages.
pub(crate) struct Joiner {
    max_bytes: usize,
    /// The beginning of a message whose rest has not come.
    partial: BytesMut,
    /// Data that came and was not looked at yet.
    ready: Bytes,
}

impl<B: http_body::Body<Data = Bytes> + Unpin> Messages<B> {
    pub(crate) fn new(body: B, max_bytes: usize) -> Self {
        Self { body, joiner: Joiner::new(max_bytes) }
    }

    /// The next message, or `None` at the end of the request. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        loop {
            if let Some(message) = self.joiner.next()? {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.joiner.push(data)?;
                    }
                }
                Some(Err(_)) => return Err(FrameError::Lost),
                None if self.joiner.partial.is_empty() => return Ok(None),
                None => return Err(FrameError::Truncated),
            }
        }
    }
}

impl Joiner {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, partial: BytesMut::new(), ready: Bytes::new() }
    }

    /// To be called when [`Self::next`] had nothing more.
    pub(crate) fn push(&mut self, data: Bytes) -> Result<(), FrameError> {
        if self.partial.is_empty() {
            self.ready = data;
            return Ok(());
        }
        self.partial.extend_from_slice(&data);
        if whole_message(&self.partial, self.max_bytes)?.is_some() {
            self.ready = std::mem::take(&mut self.partial).freeze();
        }
        Ok(())
    }

    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        if let Some(bytes) = whole_message(&self.ready, self.max_bytes)? {
            let message = self.ready.split_to(bytes).slice(PREFIX_BYTES..);
            if self.ready.is_empty() {
                self.ready = Bytes::new();
            }
            return Ok(Some(message));
        }
        // Copied, so that a few bytes do not keep the connection's whole read buffer alive.
        if !self.ready.is_empty() {
            self.partial = BytesMut::from(self.ready.as_ref());
            self.ready = Bytes::new();
        }
        Ok(None)
    }
}

/// How long the message is that `data` begins with, its prefix included, if all of it is there.
fn whole_message(data: &[u8], max_bytes: usize) -> Result<Option<usize>, FrameError> {
    let Some((&[compressed, a, b, c, d], rest)) = data.split_first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    if compressed != 0 {
        return Err(FrameError::Compressed);
    }
    let bytes = u32::from_be_bytes([a, b, c, d]) as usize;
    if bytes > max_bytes {
        return Err(FrameError::TooLarge { bytes, max: max_bytes });
    }
    Ok((rest.len() >= bytes).then_some(PREFIX_BYTES + bytes))
}

/// A `DeltaDiscoveryResponse` as one gRPC message, cut into pieces for DATA frames.
pub(crate) fn delta_response(response: &Response) -> Result<Vec<Bytes>, FrameError> {
    let mut tail = BytesMut::new();
    for name in &response.removed {
        put_bytes(&mut tail, field::RESPONSE_REMOVED, name.as_bytes());
    }
    put_bytes(&mut tail, field::RESPONSE_TYPE_URL, response.resource_type.type_url().as_bytes());
    put_bytes(&mut tail, field::RESPONSE_NONCE, response.nonce.to_string().as_bytes());

    let bytes = response.resources.iter().map(|it| it.chunk.len()).sum::<usize>() + tail.len();
    let length = u32::try_from(bytes).map_err(|_| FrameError::ResponseTooLarge { bytes })?;
    let mut prefix = BytesMut::with_capacity(PREFIX_BYTES);
    prefix.put_u8(0);
    prefix.put_u32(length);

    let resources = response.resources.iter().map(|it| it.chunk.clone());
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

/// One element of `DeltaDiscoveryResponse.resources`. The `Any` comes last: `Resource.resource` and
/// `DiscoveryResponse.resources` have one number and type, so that a suffix of the chunk is the same resource for the
/// state-of-the-world protocol.
pub(crate) fn delta_resource(name: &str, version: &str, type_url: &str, message: &[u8]) -> Bytes {
    let any = bytes_len(type_url.len()) + bytes_len(message.len());
    let resource = bytes_len(name.len()) + bytes_len(version.len()) + bytes_len(any);
    let mut chunk = BytesMut::with_capacity(bytes_len(resource));
    put_key(&mut chunk, field::RESPONSE_RESOURCES, resource);
    put_bytes(&mut chunk, field::RESOURCE_NAME, name.as_bytes());
    put_bytes(&mut chunk, field::RESOURCE_VERSION, version.as_bytes());
    put_key(&mut chunk, field::RESOURCE_ANY, any);
    put_bytes(&mut chunk, field::ANY_TYPE_URL, type_url.as_bytes());
    put_bytes(&mut chunk, field::ANY_VALUE, message);
    chunk.freeze()
}

/// A `ClusterLoadAssignment` without endpoints.
pub(crate) fn cluster_load_assignment(cluster_name: &str) -> Bytes {
    let mut message = BytesMut::with_capacity(bytes_len(cluster_name.len()));
    put_bytes(&mut message, field::ASSIGNMENT_CLUSTER_NAME, cluster_name.as_bytes());
    message.freeze()
}

/// Field numbers of discovery.proto, endpoint.proto and any.proto. All below 16, so that a key is one byte.
mod field {
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
        config::endpoint::v3::ClusterLoadAssignment, service::discovery::v3::DeltaDiscoveryResponse,
    };
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::{Resource, ResourceType};

    const MAX_BYTES: usize = 1000;

    /// What prost reads of what we write.
    fn read(response: &Response) -> DeltaDiscoveryResponse {
        let written = delta_response(response).unwrap().concat();
        let message = Joiner::whole(&written, u32::MAX as usize);
        DeltaDiscoveryResponse::decode(message).unwrap()
    }

    impl Joiner {
        fn whole(data: &[u8], max_bytes: usize) -> Bytes {
            let mut joiner = Self::new(max_bytes);
            joiner.push(Bytes::copy_from_slice(data)).unwrap();
            let message = joiner.next().unwrap().unwrap();
            assert_eq!(joiner.next(), Ok(None));
            message
        }

        /// All messages of a body that comes in these pieces.
        fn join(&mut self, pieces: &[&[u8]]) -> Result<Vec<Bytes>, FrameError> {
            let mut messages = Vec::new();
            for piece in pieces {
                self.push(Bytes::copy_from_slice(piece))?;
                while let Some(message) = self.next()? {
                    messages.push(message);
                }
            }
            Ok(messages)
        }

        fn holds_nothing(&self) -> bool {
            self.partial.capacity() == 0 && self.ready.is_empty()
        }
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap();
        [&[0], length.to_be_bytes().as_slice(), message].concat()
    }

    proptest! {
        #[test]
        fn prost_reads_back_what_is_written(
            nonce: u64,
            resources in prop::collection::vec(
                (".{0,20}", ".{0,20}", prop::collection::vec(any::<u8>(), 0..10_000)), 0..5,
            ),
            removed in prop::collection::vec(".{0,200}", 0..5),
        ) {
            let resource_type = ResourceType::Listener;
            let response = Response {
                resource_type,
                nonce,
                resources: resources.iter().map(|(name, version, message)| {
                    Arc::new(Resource::new(resource_type, name.as_str().into(), version.as_str().into(), message))
                }).collect(),
                removed: removed.iter().map(|it| it.as_str().into()).collect(),
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
            prop_assert_eq!(read, resources);
        }

        #[test]
        fn messages_are_joined_however_they_are_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..MAX_BYTES), 0..5),
            cuts in prop::collection::vec(1_usize..500, 1..50),
        ) {
            let body = messages.iter().flat_map(|it| framed(it)).collect::<Vec<_>>();
            let (mut rest, mut pieces) = (body.as_slice(), Vec::new());
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            let mut joiner = Joiner::new(MAX_BYTES);
            prop_assert_eq!(joiner.join(&pieces).unwrap(), messages);
            prop_assert!(joiner.holds_nothing());
        }

        #[test]
        fn garbage_is_an_error_or_a_message(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
            if let Ok(messages) = Joiner::new(MAX_BYTES).join(&pieces) {
                prop_assert!(messages.iter().all(|it| it.len() <= MAX_BYTES));
            }
        }
    }

    #[test]
    fn what_is_no_message_is_an_error_at_once() {
        let check = |pieces: &[&[u8]], expected| {
            assert_eq!(Joiner::new(MAX_BYTES).join(pieces), Err(expected), "{pieces:?}");
        };
        check(&[&[1, 0, 0, 0, 0]], FrameError::Compressed);
        check(&[&[0, 0, 0], &[3, 233]], FrameError::TooLarge { bytes: 1001, max: 1000 });
        check(&[&[0, 255, 255, 255, 255, 1]], FrameError::TooLarge { bytes: u32::MAX as usize, max: 1000 });
        check(&[&[0, 0, 0, 0, 0, 2], &[0, 0, 0, 0]], FrameError::Compressed);
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
        };
        let pieces = delta_response(&response).unwrap();
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[1].as_ptr(), large.chunk.as_ptr());
    }

    #[test]
    fn a_resource_ends_with_the_same_resource_of_the_other_protocol() {
        use envoy_types::pb::envoy::service::discovery::v3::DiscoveryResponse;
        let chunk = delta_resource("name", "version", ResourceType::Route.type_url(), b"message");
        let any = DiscoveryResponse::decode(
            &chunk[chunk.len() - bytes_len(ResourceType::Route.type_url().len()) - bytes_len(7) - 2..],
        );
        assert_eq!(any.unwrap().resources[0].value, b"message");
    }

    #[test]
    fn a_cluster_without_endpoints_has_its_name() {
        let assignment = ClusterLoadAssignment::decode(cluster_load_assignment("a")).unwrap();
        assert_eq!(assignment, ClusterLoadAssignment { cluster_name: "a".to_owned(), ..Default::default() });
    }
}
