//! A look into a stream from outside, for inspection: what was sent, and what the client says it has.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::SystemTime,
};

use super::{Protocol, Session};
use crate::{
    ResourceType, SessionStatus,
    open_streams::{OpenStream, OpenStreams},
};

/// One open stream, to be looked into whenever somebody wants to know. It keeps nothing alive and never waits for the
/// stream's task, which may be stuck with a client that does not read.
#[derive(Clone)]
pub struct StreamView {
    protocol: Protocol,
    session: Weak<Mutex<Session>>,
    /// None where a session is driven by something else than a connection.
    connection: Weak<OpenStreams>,
}

/// A stream as of now.
#[derive(Clone, Debug)]
pub struct StreamReport {
    pub protocol: Protocol,
    pub status: SessionStatus,
    /// In the order of types, then of names: what the client has asked for by name, or holds.
    pub resources: Vec<ResourceReport>,
}

/// What a stream knows of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceReport {
    pub resource_type: ResourceType,
    pub name: Arc<str>,
    /// The version sent last, or the one that the client brought from an earlier stream.
    pub sent: Option<Arc<str>>,
    /// The version that the client has acknowledged last, and when; what it brought counts from when it said so.
    pub acknowledged: Option<(Arc<str>, SystemTime)>,
}

impl fmt::Debug for StreamView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamView").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

impl StreamView {
    /// A view of a session that somebody else drives. `protocol` is that of the session.
    pub fn new(protocol: Protocol, session: &Arc<Mutex<Session>>) -> Self {
        Self { protocol, session: Arc::downgrade(session), connection: Weak::new() }
    }

    pub(crate) fn on(self, stream: &OpenStream) -> Self {
        Self { connection: stream.connection(), ..self }
    }

    /// To be called, in a tokio runtime, when the stream has to end though its client may not read: a stream ends by itself
    /// when its subscriber is asked, which for such a client may be never. What has not ended within
    /// [`crate::ServerSettings::shutdown_timeout`] loses its connection.
    pub fn end(&self) {
        let (session, connection) = (self.session.clone(), self.connection.clone());
        let Some(end_within) = connection.upgrade().map(|it| it.end_within) else { return };
        tokio::spawn(async move {
            tokio::time::sleep(end_within).await;
            if session.strong_count() > 0
                && let Some(connection) = connection.upgrade()
            {
                connection.cut();
            }
        });
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// `None` once the stream has ended.
    pub fn report(&self) -> Option<StreamReport> {
        let session = self.session.upgrade()?;
        let session = session.lock().unwrap_or_else(PoisonError::into_inner);
        Some(session.report())
    }

    /// Whether the client has asked for one resource by its name. `false`: or the stream has ended.
    pub fn asks_for(&self, resource_type: ResourceType, name: &str) -> bool {
        let Some(session) = self.session.upgrade() else { return false };
        let session = session.lock().unwrap_or_else(PoisonError::into_inner);
        session.channels.get(resource_type).is_some_and(|channel| channel.subscribes_to(name))
    }

    /// The version of one resource that the client has acknowledged last, without a report of all others. `None`: of none, or
    /// the stream has ended.
    pub fn acknowledged(&self, resource_type: ResourceType, name: &str) -> Option<Arc<str>> {
        let session = self.session.upgrade()?;
        let session = session.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = session.channels.get(resource_type)?;
        channel.names.get(name)?.acknowledged.as_ref().map(|(version, _)| version.clone())
    }
}

impl Session {
    pub fn report(&self) -> StreamReport {
        StreamReport {
            protocol: self.protocol,
            status: self.status.clone(),
            resources: self.channels.iter().flat_map(|(_, channel)| channel.report()).collect(),
        }
    }
}
