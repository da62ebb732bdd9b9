//! What a stream has said and heard so far, for whoever watches it.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use serde::Serialize;

use crate::ResourceType;

/// Per type. Each nonce counts once: as acknowledged or as rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub sent: u64,
    pub acknowledged: u64,
    pub rejected: u64,
}

/// What the client did not take of a type, and has not taken since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Envoy's words when it last refused one of them, cut to 4 KiB.
    pub message: String,
    /// Names and versions, sorted by name. At first they are those of the whole response; some seconds later, when they
    /// have been offered again one by one, the bad ones only. Of a whole set (clusters and listeners in the
    /// state-of-the-world protocol) they stay all that was not acknowledged before; of extensions, all that were refused together,
    /// until each has changed.
    pub resources: Vec<(Arc<str>, Arc<str>)>,
}

/// A stream as of now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionStatus {
    pub counts: BTreeMap<ResourceType, Counts>,
    /// Of the last counted request or response.
    pub last_update: Option<SystemTime>,
    /// Gone once everything that was rejected was taken, in that version or another, or is no longer wanted. An
    /// acknowledgement of something else does not end a rejection, nor, of an extension, one of the same version: Envoy
    /// acknowledges without a look what it has refused before.
    pub rejections: BTreeMap<ResourceType, Rejection>,
    /// Whether everything of the latest snapshot that the client subscribes to was sent and answered: acknowledged, or
    /// rejected. Clusters and listeners that the snapshot has and the client has not asked for yet count as not sent:
    /// Envoy asks for listeners last.
    pub settled: bool,
    /// The tag of the latest snapshot ([`crate::Subscriber::next`]) for which `settled` was true; 0 before the first.
    pub settled_tag: u64,
}
