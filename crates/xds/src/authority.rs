//! What the server asks of its owner: who may open a stream, and what each one gets.

use std::{future::Future, net::SocketAddr, sync::Arc};

use crate::{SessionStatus, Snapshot, StreamView};

/// Why a stream is not served, in the words of gRPC. The message goes to the client: no secret belongs in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("unauthenticated: {0}")]
    Unauthenticated(String),
    #[error("permission denied: {0}")]
    PermissionDenied(String),
    #[error("not found: {0}")]
    NotFound(String),
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    #[error("unavailable: {0}")]
    Unavailable(String),
}

/// What is kept of Envoy's 40 KB Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub id: String,
    /// `node.user_agent_build_version` as `1.40.0`, or empty.
    pub version: String,
    /// `kuma.accessLogPipe` and its like: the string fields of `node.metadata`.
    pub metadata: std::collections::BTreeMap<String, String>,
}

/// Decides who may open a stream and what it then gets.
pub trait Authority: Send + Sync + 'static {
    /// Who a client has proved to be.
    type Peer: Send + 'static;
    type Subscriber: Subscriber;

    /// Called before anything of the stream is decoded. `authorization` is the header's value, if there is exactly one.
    fn authenticate(&self, authorization: Option<&str>, from: SocketAddr) -> Result<Self::Peer, Refusal>;

    /// Called with the first message's node.
    fn subscribe(
        &self,
        peer: Self::Peer,
        node: &Node,
    ) -> impl Future<Output = Result<Self::Subscriber, Refusal>> + Send;
}

/// One client's source of snapshots, and the ear for what became of them. Dropped when the stream ends.
pub trait Subscriber: Send + 'static {
    /// Told once, before anything else: how to look into the stream while it lives.
    fn began(&mut self, view: StreamView);

    /// Waits for a snapshot that differs from the one returned last; the first call returns the first one there is. Only
    /// the latest is ever returned. The number is the caller's own tag of that state (a revision), given back in
    /// [`SessionStatus::settled_tag`]. An `Err` ends the stream with that status. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Result<(u64, Arc<Snapshot>), Refusal>> + Send;

    /// Whether the stream has to end now, which [`Self::next`] would say, too: asked before a request is answered, so that
    /// who is refused is told nothing more.
    fn refused(&mut self) -> Option<Refusal> {
        None
    }

    /// Told after every request and response that counted, and whenever [`SessionStatus::settled`] or its tag change.
    fn observe(&mut self, status: &SessionStatus);
}
