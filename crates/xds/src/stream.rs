//! One gRPC stream: authenticated from its headers, opened by its first message, then a session.

use std::{collections::VecDeque, convert::Infallible, net::SocketAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::sync::watch;
use tonic::Status;

use crate::{
    Moment, Node, Request, Response, Session,
    connection::{OpenStream, OpenStreams, reached},
    frames::{self, Messages},
    server::{Authority, Context, Phase, Subscriber},
    wire,
};

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

const GRPC: &str = "application/grpc";
const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const STATE_OF_THE_WORLD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// As many names as one client may make a stream remember: more than a mesh has, and some 10 MB.
const NAMES_MAX: usize = 100_000;

/// Answers a request of any kind.
pub(crate) fn respond<A: Authority>(
    request: http::Request<Incoming>,
    from: SocketAddr,
    context: &Arc<Context<A>>,
    open: &Arc<OpenStreams>,
) -> http::Response<Body> {
    if let Some(status) = not_grpc(&request) {
        return empty(status);
    }
    match authenticate(&request, from, context) {
        Ok(peer) => {
            let opening = Opening {
                peer,
                from,
                messages: Messages::new(request.into_body(), context.settings.max_request_bytes),
                context: context.clone(),
                open: open.begin(),
            };
            let mut response =
                http::Response::new(BodyExt::boxed_unsync(StreamBody::new(conversation(opening))));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
            response
        }
        Err(status) => {
            context.refusals.note(from, &status.message());
            status.into_http::<Empty<Bytes>>().map(BodyExt::boxed_unsync)
        }
    }
}

/// What HTTP says to what is not gRPC ("gRPC over HTTP2", Requests).
fn not_grpc<B>(request: &http::Request<B>) -> Option<StatusCode> {
    if request.method() != Method::POST {
        return Some(StatusCode::METHOD_NOT_ALLOWED);
    }
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    match content_type.and_then(|it| it.strip_prefix(GRPC)) {
        Some("" | "+proto") => None,
        _ => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

fn empty(status: StatusCode) -> http::Response<Body> {
    let mut response = http::Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = status;
    response
}

fn authenticate<A: Authority>(
    request: &http::Request<Incoming>,
    from: SocketAddr,
    context: &Context<A>,
) -> Result<A::Peer, Status> {
    match request.uri().path() {
        DELTA => {}
        STATE_OF_THE_WORLD => {
            return Err(Status::unimplemented(
                "this server speaks the incremental protocol only: set api_type to DELTA_GRPC in ads_config",
            ));
        }
        _ => return Err(Status::unimplemented("there is no such method")),
    }
    if *context.phase.borrow() != Phase::Serving {
        return Err(shutting_down());
    }
    Ok(context.authority.authenticate(only_authorization(request.headers()), from)?)
}

/// The header's value, if there is exactly one.
fn only_authorization(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn shutting_down() -> Status {
    Status::unavailable("the server is shutting down")
}

/// A stream before its first message.
struct Opening<A: Authority> {
    peer: A::Peer,
    from: SocketAddr,
    messages: Messages<Incoming>,
    context: Arc<Context<A>>,
    open: OpenStream,
}

/// A stream that is served.
struct Conversation<S> {
    node_id: String,
    session: Session,
    subscriber: S,
    messages: Messages<Incoming>,
    phase: watch::Receiver<Phase>,
    /// What is left of the responses of one step; the next step is taken when it is empty.
    pieces: VecDeque<Bytes>,
    _open: OpenStream,
}

enum Stage<A: Authority> {
    Opening(Opening<A>),
    Conversation(Box<Conversation<A::Subscriber>>),
    Ended,
}

/// The frames of the response body. Pulled: while the client does not read, nothing happens here.
fn conversation<A: Authority>(opening: Opening<A>) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
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
            Err(status) => (Ok(Frame::trailers(trailers(&status))), Stage::Ended),
        })
    })
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        // Not reached: the message is percent-encoded. A status without it is still a status.
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from(status.code() as i32));
    }
    trailers
}

impl<A: Authority> Opening<A> {
    async fn subscribe(self) -> Result<Box<Conversation<A::Subscriber>>, Status> {
        let Self { peer, from, mut messages, context, open } = self;
        let opened = async {
            let timeout = context.settings.handshake_timeout;
            let first = tokio::time::timeout(timeout, messages.next()).await;
            let first =
                first.map_err(|_| Status::deadline_exceeded("the first request did not come in time"))??;
            let (node, request) = read(first.ok_or_else(|| Status::ok(""))?)?;
            let node = node.filter(|it| !it.id.is_empty());
            let node = node.ok_or_else(|| Status::invalid_argument("the first request has no node.id"))?;
            let subscriber = context.authority.subscribe(peer, &node).await?;
            Ok::<_, Status>((node, request, subscriber))
        };
        let opened = tokio::select! {
            opened = opened => opened,
            () = reached(context.phase.clone(), Phase::Draining) => Err(shutting_down()),
        };
        let (Node { id, version, .. }, request, subscriber) = opened.inspect_err(|status| {
            context.refusals.note(from, &status.message());
        })?;
        tracing::info!(node = id, version, %from, "stream opened");
        tracing::debug!(node = id, ?request, "received");
        let mut session = Session::new(fastrand::u64(..));
        // Nothing goes out before there is a snapshot.
        session.on_request(&request, Moment::now());
        let phase = context.phase.clone();
        Ok(Box::new(Conversation {
            node_id: id,
            session,
            subscriber,
            messages,
            phase,
            pieces: VecDeque::new(),
            _open: open,
        }))
    }
}

impl<S: Subscriber> Conversation<S> {
    async fn next_piece(mut self: Box<Self>) -> Result<(Bytes, Box<Self>), Status> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Ok((piece, self));
            }
            // A large push leaves a large queue behind; most streams are idle most of the time.
            self.pieces = VecDeque::new();
            let responses = self.step().await.inspect_err(|status| {
                tracing::info!(node = self.node_id, code = ?status.code(), reason = status.message(), "stream ended");
            })?;
            for response in responses {
                self.log(&response);
                self.pieces.extend(frames::delta_response(&response)?);
            }
            if let Some(status) = self.session.changed_status() {
                self.subscriber.observe(status);
            }
        }
    }

    /// Waits for whatever comes first, and says what follows from it.
    async fn step(&mut self) -> Result<Vec<Response>, Status> {
        let deadline = self.session.next_deadline();
        tokio::select! {
            message = self.messages.next() => {
                let request = self.accept(message?.ok_or_else(|| Status::ok("the client has ended it"))?)?;
                let responses = self.session.on_request(&request, Moment::now());
                if self.session.name_count() > NAMES_MAX {
                    return Err(Status::resource_exhausted(format!("more than {NAMES_MAX} names on one stream")));
                }
                Ok(responses)
            }
            snapshot = self.subscriber.next() => {
                let (tag, snapshot) = snapshot?;
                Ok(self.session.on_snapshot(tag, snapshot, Moment::now()))
            }
            () = reached_instant(deadline) => Ok(self.session.on_time(Moment::now())),
            () = reached(self.phase.clone(), Phase::Draining) => Err(shutting_down()),
        }
    }

    fn accept(&self, message: Bytes) -> Result<Request, Status> {
        let (node, request) = read(message)?;
        if node.is_some_and(|it| !it.id.is_empty() && it.id != self.node_id) {
            return Err(Status::invalid_argument(
                "a stream belongs to one node, and this request names another",
            ));
        }
        tracing::debug!(node = self.node_id, ?request, "received");
        if let Some(error) = &request.error {
            tracing::warn!(
                node = self.node_id,
                type_url = request.type_url,
                nonce = request.response_nonce,
                error,
                "rejected"
            );
        }
        Ok(request)
    }

    fn log(&self, response: &Response) {
        let versions: Vec<_> = response.resources.iter().map(|it| (&it.name, &it.version)).collect();
        tracing::info!(
            node = self.node_id, tag = self.session.tag(), resource_type = ?response.resource_type,
            nonce = response.nonce, resources = ?versions, removed = ?response.removed, "sent"
        );
    }
}

fn read(message: Bytes) -> Result<(Option<Node>, Request), Status> {
    let length = message.len();
    wire::read_delta_request(message).map_err(|error| {
        Status::invalid_argument(format!("a message of {length} bytes is no discovery request: {error}"))
    })
}

async fn reached_instant(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
