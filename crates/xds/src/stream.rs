//! What an HTTP request is answered with: a refusal from its headers alone, or a conversation.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;

use crate::{
    Protocol,
    authority::Authority,
    context::{Context, Phase},
    conversation::{self, Opening, shutting_down},
    grpc_status::{GrpcCode, GrpcStatus},
    open_streams::OpenStreams,
};

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

const GRPC: &str = "application/grpc";
const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const STATE_OF_THE_WORLD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

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
        Ok((protocol, peer)) => {
            let opening =
                Opening::new(protocol, peer, from, request.into_body(), context.clone(), open.begin());
            let frames = StreamBody::new(conversation::frames(opening));
            let mut response = http::Response::new(frames.boxed_unsync());
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
            response
        }
        Err(status) => {
            context.refusals.note(from, &status.message);
            trailers_only(&status)
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

/// A refusal before anything was said: its status is in the headers.
fn trailers_only(status: &GrpcStatus) -> http::Response<Body> {
    let mut response = empty(StatusCode::OK);
    *response.headers_mut() = status.to_headers();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

fn authenticate<A: Authority>(
    request: &http::Request<Incoming>,
    from: SocketAddr,
    context: &Context<A>,
) -> Result<(Protocol, A::Peer), GrpcStatus> {
    let protocol = match request.uri().path() {
        DELTA => Protocol::Delta,
        STATE_OF_THE_WORLD => Protocol::StateOfTheWorld,
        _ => return Err(GrpcCode::Unimplemented.with("there is no such method")),
    };
    if *context.phase.borrow() != Phase::Serving {
        return Err(shutting_down());
    }
    let peer = context.authority.authenticate(only_authorization(request.headers()), from)?;
    Ok((protocol, peer))
}

/// The header's value, if there is exactly one.
fn only_authorization(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
