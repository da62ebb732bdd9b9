//! A look into a stream from outside, for inspection: what was sent, and what the client says it has.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::SystemTime,
};

use super::{Protocol, Session};
use crate::{ResourceType, SessionStatus};

/// One open stream, to be looked into whenever somebody wants to know. It keeps nothing alive and never waits for the
/// stream's task, which may be stuck with a client that does not read.
#[derive(Clone, Debug)]
pub struct StreamView {
    protocol: Protocol,
    session: Weak<Mutex<Session>>,
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

impl StreamView {
    /// A view of a session that somebody else drives. `protocol` is that of the session.
    pub fn new(protocol: Protocol, session: &Arc<Mutex<Session>>) -> Self {
        Self { protocol, session: Arc::downgrade(session) }
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
