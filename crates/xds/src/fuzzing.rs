//! What reads a client's bytes, for the fuzz targets and for nobody else.

use bytes::Bytes;

use crate::{Node, Request, StateRequest, frames::Joiner, wire};

/// One message, read as a request of each protocol.
type Read = (Option<(Option<Node>, Request)>, Option<(Option<Node>, StateRequest)>);

/// The requests of a stream whose bytes arrive in these pieces.
pub fn requests(pieces: &[&[u8]], max_bytes: usize) -> Result<Vec<Read>, String> {
    let mut joiner = Joiner::new(max_bytes);
    let mut requests = Vec::new();
    for piece in pieces {
        joiner.push(Bytes::copy_from_slice(piece)).map_err(|error| error.to_string())?;
        while let Some(message) = joiner.next().map_err(|error| error.to_string())? {
            let delta = wire::read_delta_request(message.clone());
            requests.push((delta.ok(), wire::read_state_request(message).ok()));
        }
    }
    Ok(requests)
}
