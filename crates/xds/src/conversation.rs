//! One gRPC stream after its headers: opened by its first message, then a session.
//!
//! The body of the response is the conversation. HTTP/2 flow control pulls it, so that requests are read, snapshots taken
//! and time noticed only while the client reads.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt::Display,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body::Frame;
use hyper::body::Incoming;
use tokio::sync::watch;

use crate::{
    Moment, Node, Protocol, Request, ResourceType, Response, Session, StateRequest, StreamView,
    authority::{Authority, Subscriber},
    context::{Context, Phase, reached},
    encoding,
    frames::Messages,
    grpc_status::{GrpcCode, GrpcStatus},
    open_streams::OpenStream,
    wire,
};

/// As many names as one client may make a stream remember, or say in one request: more than a mesh has.
const NAMES_MAX: usize = 100_000;

/// As many resources as are named in a line of the log.
const LISTED_MAX: usize = 20;

/// A stream before its first message.
pub(crate) struct Opening<A: Authority> {
    protocol: Protocol,
    peer: A::Peer,
    from: SocketAddr,
    messages: Messages<Incoming>,
    context: Arc<Context<A>>,
    open: OpenStream,
}

/// A stream that is served.
struct Conversation<S> {
    protocol: Protocol,
    node_id: String,
    /// Shared with those who look into it ([`StreamView`]); nobody waits while holding it.
    session: Arc<Mutex<Session>>,
    subscriber: S,
    messages: Messages<Incoming>,
    phase: watch::Receiver<Phase>,
    /// What is left of the responses of one step; the next step is taken when it is empty.
    pieces: VecDeque<Bytes>,
    _open: OpenStream,
}

/// A request of either protocol.
#[derive(Debug)]
enum AnyRequest {
    Delta(Request),
    State(StateRequest),
}

enum Stage<A: Authority> {
    Opening(Opening<A>),
    Conversation(Box<Conversation<A::Subscriber>>),
    Ended,
}

/// The frames of the response body.
pub(crate) fn frames<A: Authority>(
    opening: Opening<A>,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    stream::unfold(Stage::Opening(opening), |stage| async {
        let next = match stage {
            Stage::Opening(opening) => match opening.subscribe().await {
                Ok(conversation) => conversation.next_piece().await,
                Err(status) => Err(status),
            },
            Stage::Conversation(conversation) => conversation.next_piece().await,
            Stage::Ended => return None,
        };
        Some(match next {
            Ok((piece, conversation)) => (Ok(Frame::data(piece)), Stage::Conversation(conversation)),
            Err(status) => (Ok(Frame::trailers(status.to_headers())), Stage::Ended),
        })
    })
}

impl<A: Authority> Opening<A> {
    pub(crate) fn new(
        protocol: Protocol,
        peer: A::Peer,
        from: SocketAddr,
        body: Incoming,
        context: Arc<Context<A>>,
        open: OpenStream,
    ) -> Self {
        let messages = Messages::new(body, context.settings.max_request_bytes);
        Self { protocol, peer, from, messages, context, open }
    }

    async fn subscribe(self) -> Result<Box<Conversation<A::Subscriber>>, GrpcStatus> {
        let Self { protocol, peer, from, mut messages, context, open } = self;
        let opened = async {
            let (node, request) = first_message(protocol, &mut messages, &context).await?;
            let subscriber = context.authority.subscribe(peer, &node).await?;
            Ok::<_, GrpcStatus>((node, request, subscriber))
        };
        let opened = tokio::select! {
            opened = opened => opened,
            () = reached(context.phase.clone(), Phase::Draining) => Err(shutting_down()),
        };
        let (Node { id, version, .. }, request, mut subscriber) = opened.inspect_err(|status| {
            if status.code != GrpcCode::Ok {
                context.refusals.note(from, &status.message);
            }
        })?;
        tracing::debug!(node = id, version, %from, "stream opened");
        let session = Arc::new(Mutex::new(Session::new(protocol, fastrand::u64(..))));
        subscriber.began(StreamView::new(protocol, &session).on(&open));
        let mut conversation = Conversation {
            protocol,
            node_id: id,
            session,
            subscriber,
            messages,
            phase: context.phase.clone(),
            pieces: VecDeque::new(),
            _open: open,
        };
        // Nothing goes out before there is a snapshot.
        conversation.take(&request);
        Ok(Box::new(conversation))
    }
}

async fn first_message<A: Authority>(
    protocol: Protocol,
    messages: &mut Messages<Incoming>,
    context: &Context<A>,
) -> Result<(Node, AnyRequest), GrpcStatus> {
    let too_late = |_| GrpcCode::DeadlineExceeded.with("the first request did not come in time");
    let first = tokio::time::timeout(context.settings.handshake_timeout, messages.next()).await;
    let first = first.map_err(too_late)??.ok_or_else(ended_by_client)?;
    let (node, request) = read(protocol, first)?;
    match node.filter(|it| !it.id.is_empty()) {
        Some(node) => Ok((node, request)),
        None => Err(GrpcCode::InvalidArgument.with("the first request has no node.id")),
    }
}

impl<S: Subscriber> Conversation<S> {
    async fn next_piece(mut self: Box<Self>) -> Result<(Bytes, Box<Self>), GrpcStatus> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Ok((piece, self));
            }
            // A large push leaves a large queue behind; most streams are idle most of the time.
            self.pieces = VecDeque::new();
            let responses = self.step().await.inspect_err(|status| {
                tracing::info!(node = self.node_id, code = ?status.code, reason = status.message, "stream ended");
            })?;
            for response in responses {
                self.log(&response);
                self.pieces.extend(encoding::response(&response)?);
            }
            let status = self.session().changed_status().cloned();
            if let Some(status) = status {
                self.subscriber.observe(&status);
            }
        }
    }

    /// Waits for whatever comes first, and says what follows from it.
    async fn step(&mut self) -> Result<Vec<Response>, GrpcStatus> {
        let deadline = self.session().next_deadline();
        tokio::select! {
            message = self.messages.next() => {
                let (node, request) = read(self.protocol, message?.ok_or_else(ended_by_client)?)?;
                self.check_node(node)?;
                if let Some(refusal) = self.subscriber.refused() {
                    return Err(refusal.into());
                }
                let responses = self.take(&request);
                if self.session().name_count() > NAMES_MAX {
                    return Err(too_many_names());
                }
                Ok(responses)
            }
            snapshot = self.subscriber.next() => {
                let (tag, snapshot) = snapshot?;
                Ok(self.session().on_snapshot(tag, snapshot, Moment::now()))
            }
            () = reached_instant(deadline) => Ok(self.session().on_time(Moment::now())),
            () = reached(self.phase.clone(), Phase::Draining) => Err(shutting_down()),
        }
    }

    fn check_node(&self, node: Option<Node>) -> Result<(), GrpcStatus> {
        match node {
            Some(node) if !node.id.is_empty() && node.id != self.node_id => Err(GrpcCode::InvalidArgument
                .with("a stream belongs to one node, and this request names another")),
            _ => Ok(()),
        }
    }

    fn take(&mut self, request: &AnyRequest) -> Vec<Response> {
        tracing::debug!(node = self.node_id, ?request, "received");
        let rejected = self.rejected_count();
        let responses = match request {
            AnyRequest::Delta(request) => self.session().on_request(request, Moment::now()),
            AnyRequest::State(request) => self.session().on_state_request(request, Moment::now()),
        };
        if self.rejected_count() > rejected {
            self.log_rejection(request.type_url());
        }
        responses
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rejected_count(&self) -> u64 {
        self.session().status().counts.values().map(|it| it.rejected).sum()
    }

    fn log_rejection(&self, type_url: &str) {
        let Some(resource_type) = ResourceType::from_type_url(type_url) else { return };
        let session = self.session();
        let rejection = session.status().rejections.get(&resource_type);
        let reason = rejection.map(|it| it.message.as_str()).unwrap_or_default();
        tracing::debug!(node = self.node_id, ?resource_type, reason, "rejected");
    }

    fn log(&self, response: &Response) {
        tracing::debug!(
            node = self.node_id,
            tag = self.session().tag(),
            resource_type = ?response.resource_type,
            nonce = response.nonce,
            resources = listed(response.resources.iter().map(|it| format!("{}@{}", it.name, it.version))),
            removed = listed(response.removed.iter()),
            "sent"
        );
    }
}

fn listed(items: impl ExactSizeIterator<Item = impl Display>) -> String {
    let more = items.len().saturating_sub(LISTED_MAX);
    let mut words: Vec<_> = items.take(LISTED_MAX).map(|it| it.to_string()).collect();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(" ")
}

impl AnyRequest {
    fn type_url(&self) -> &str {
        match self {
            Self::Delta(request) => &request.type_url,
            Self::State(request) => &request.type_url,
        }
    }

    /// The longest of its lists.
    fn most_names(&self) -> usize {
        match self {
            Self::Delta(Request { subscribe, unsubscribe, initial_versions, .. }) => {
                subscribe.len().max(unsubscribe.len()).max(initial_versions.len())
            }
            Self::State(request) => request.names.len(),
        }
    }
}

fn read(protocol: Protocol, message: Bytes) -> Result<(Option<Node>, AnyRequest), GrpcStatus> {
    let length = message.len();
    let read = match protocol {
        Protocol::Delta => wire::read_delta_request(message).map(|(node, it)| (node, AnyRequest::Delta(it))),
        Protocol::StateOfTheWorld => {
            wire::read_state_request(message).map(|(node, it)| (node, AnyRequest::State(it)))
        }
    };
    let (node, request) = read.map_err(|error| {
        let message = format!("a message of {length} bytes is no discovery request: {error}");
        GrpcCode::InvalidArgument.with(message)
    })?;
    if request.most_names() > NAMES_MAX {
        return Err(too_many_names());
    }
    Ok((node, request))
}

fn too_many_names() -> GrpcStatus {
    GrpcCode::ResourceExhausted.with(format!("more than {NAMES_MAX} names on one stream"))
}

fn ended_by_client() -> GrpcStatus {
    GrpcCode::Ok.with("the client has ended the stream")
}

pub(crate) fn shutting_down() -> GrpcStatus {
    GrpcCode::Unavailable.with("the server is shutting down")
}

async fn reached_instant(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
