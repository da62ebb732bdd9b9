//! gRPC messages, joined from the DATA frames of a request.
//!
//! A generic gRPC codec keeps, for a stream's life, a read buffer as large as the largest request (Envoy's 40 KB Node).
//! Here nothing is kept between two messages.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

/// gRPC over HTTP/2: one byte "compressed", four bytes length, big endian.
pub(crate) const PREFIX_BYTES: usize = 5;

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX_BYTES: usize = 1000;

    impl Joiner {
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
}
