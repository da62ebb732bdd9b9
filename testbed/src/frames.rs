//! gRPC messages in HTTP/2 bodies: a byte (compressed or not), four bytes of length, the message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

const PREFIX_BYTES: usize = 5;

/// More than any response to one proxy of a benchmark; a wrong length is noticed instead of waited for.
const MESSAGE_MAX_BYTES: usize = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a response is compressed, which nobody asked for")]
    Compressed,
    #[error("a response says that it is {bytes} bytes long")]
    TooLong { bytes: usize },
}

/// One message, framed.
///
/// # Panics
/// Never: nobody makes a request of 4 GiB.
pub fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("requests are far smaller than 4 GiB"));
    message.encode(&mut frame).expect("the buffer has room for the message");
    frame.freeze()
}

/// Joins the pieces that arrive. Holds no memory between two messages.
#[derive(Debug, Default)]
pub struct Joiner {
    pending: BytesMut,
}

impl Joiner {
    pub fn push(&mut self, piece: &[u8]) {
        self.pending.extend_from_slice(piece);
    }

    /// The next whole message, without its prefix.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((&prefix, _)) = self.pending.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let [compressed, length @ ..] = prefix;
        if compressed != 0 {
            return Err(FrameError::Compressed);
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > MESSAGE_MAX_BYTES {
            return Err(FrameError::TooLong { bytes: length });
        }
        if self.pending.len() < PREFIX_BYTES + length {
            return Ok(None);
        }
        self.pending.advance(PREFIX_BYTES);
        let message = self.pending.split_to(length).freeze();
        if self.pending.is_empty() {
            self.pending = BytesMut::new();
        }
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;

    use super::*;

    #[test]
    fn messages_come_out_whole_however_they_were_cut() {
        let messages = ["a", "", "a longer one"]
            .map(|nonce| DeltaDiscoveryRequest { response_nonce: nonce.to_owned(), ..Default::default() });
        let bytes: Vec<u8> = messages.iter().flat_map(frame).collect();
        for size in 1..=bytes.len() {
            let mut joiner = Joiner::default();
            let mut out = Vec::new();
            for piece in bytes.chunks(size) {
                joiner.push(piece);
                while let Some(message) = joiner.next_message().expect("well formed") {
                    out.push(DeltaDiscoveryRequest::decode(message).expect("the message"));
                }
            }
            assert_eq!(out, messages, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let mut joiner = Joiner::default();
        joiner.push(&[1, 0, 0, 0, 0]);
        assert!(matches!(joiner.next_message(), Err(FrameError::Compressed)));
        let mut joiner = Joiner::default();
        joiner.push(&[0, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert!(matches!(joiner.next_message(), Err(FrameError::TooLong { .. })));
    }
}
