//! A stream without a socket, and an Envoy that is played.

use std::sync::{Arc, Mutex};

use control_plane::feed::Feed;
use xds::{Moment, Protocol, Request, ResourceType, Response, Session, StreamView, Subscriber as _};

use crate::world::{World, next};

/// A feed with the session that it feeds, and an Envoy that asks for everything.
pub(crate) struct Proxy {
    pub(crate) feed: Feed,
    session: Arc<Mutex<Session>>,
    tag: u64,
}

impl Proxy {
    pub(crate) fn connect(world: &World, name: &str) -> Self {
        let session = Arc::new(Mutex::new(Session::new(Protocol::Delta, 0)));
        let mut feed = world.connect(name);
        feed.began(StreamView::new(Protocol::Delta, &session));
        Self { feed, session, tag: 0 }
    }

    /// Takes the next snapshot; what is sent of it.
    pub(crate) async fn hear(&mut self) -> Vec<Response> {
        let snapshot = next(&mut self.feed).await;
        self.tag += 1;
        self.session.lock().unwrap().on_snapshot(self.tag, snapshot, Moment::now())
    }

    pub(crate) fn say(&mut self, request: &Request) -> Vec<Response> {
        let mut session = self.session.lock().unwrap();
        let responses = session.on_request(request, Moment::now());
        if let Some(status) = session.changed_status() {
            self.feed.observe(status);
        }
        responses
    }

    pub(crate) fn ask(&mut self, resource_type: ResourceType, names: &[&str]) -> Vec<Response> {
        self.say(&Request { subscribe: names.iter().map(ToString::to_string).collect(), ..of(resource_type) })
    }

    pub(crate) fn answer(&mut self, response: &Response, error: Option<&str>) -> Vec<Response> {
        let request = Request {
            response_nonce: response.nonce.to_string(),
            error: error.map(str::to_owned),
            ..of(response.resource_type)
        };
        self.say(&request)
    }

    pub(crate) fn take_all(&mut self, responses: Vec<Response>) {
        let mut waiting = responses;
        while let Some(response) = waiting.pop() {
            waiting.extend(self.answer(&response, None));
        }
    }

    /// As Envoy does at its start, up to its question for listeners, which it gets.
    pub(crate) async fn start(&mut self) -> Response {
        self.hear().await;
        let clusters = self.ask(ResourceType::Cluster, &[]);
        self.take_all(clusters);
        let endpoints = self.ask(ResourceType::Endpoint, &["api"]);
        self.take_all(endpoints);
        self.ask(ResourceType::Listener, &[]).remove(0)
    }
}

fn of(resource_type: ResourceType) -> Request {
    Request { type_url: resource_type.type_url().to_owned(), ..Request::default() }
}
