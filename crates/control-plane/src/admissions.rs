//! The streams that are open, by the token that has opened each: so that they end when it is revoked or its key retired,
//! and nobody else's is disturbed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use identity::{Keyring, TokenError, TokenId};
use tokio::{sync::oneshot, task::JoinSet, time::Instant};
use xds::{Refusal, SessionStatus, Snapshot, StreamView, Subscriber};

use crate::{feed::Feed, token_keys::StoredTokenKeys};

pub struct Admissions {
    token_keys: Arc<StoredTokenKeys>,
    open: Mutex<Open>,
}

struct Open {
    /// Accepts the token of every stream that is open.
    keyring: Arc<Keyring>,
    next_id: u64,
    streams: BTreeMap<u64, Stream>,
    by_jti: BTreeMap<String, BTreeSet<u64>>,
    by_kid: BTreeMap<String, BTreeSet<u64>>,
}

struct Stream {
    token: TokenId,
    end: oneshot::Sender<TokenError>,
    /// Since it has begun.
    view: Option<StreamView>,
}

/// One stream's. Dropping it takes the stream out.
pub struct Admission {
    admissions: Arc<Admissions>,
    id: u64,
    ended: oneshot::Receiver<TokenError>,
}

/// A feed for as long as its token is accepted.
pub struct AdmittedFeed {
    feed: Feed,
    admission: Admission,
    /// When the token expires. The feed says so to a client that reads.
    expires: Option<Instant>,
    /// Sees to it that the stream of one that does not read ends, too; goes with the stream.
    expiry: JoinSet<()>,
}

impl AdmittedFeed {
    pub fn new(feed: Feed, admission: Admission, expires: Option<Instant>) -> Self {
        Self { feed, admission, expires, expiry: JoinSet::new() }
    }
}

impl Admissions {
    pub fn new(token_keys: Arc<StoredTokenKeys>) -> Self {
        let open = Open {
            keyring: token_keys.keyring(),
            next_id: 0,
            streams: BTreeMap::new(),
            by_jti: BTreeMap::new(),
            by_kid: BTreeMap::new(),
        };
        Self { token_keys, open: Mutex::new(open) }
    }

    /// Judges the token once more, since it may have been revoked after it was verified; from here on nothing is missed.
    pub fn admit(self: &Arc<Self>, token: TokenId) -> Result<Admission, TokenError> {
        let mut open = self.open();
        open.catch_up(self.token_keys.keyring());
        open.keyring.still_accepts(&token)?;
        open.next_id += 1;
        let id = open.next_id;
        let (end, ended) = oneshot::channel();
        open.by_jti.entry(token.jti.clone()).or_default().insert(id);
        open.by_kid.entry(token.kid.clone()).or_default().insert(id);
        open.streams.insert(id, Stream { token, end, view: None });
        drop(open);
        Ok(Admission { admissions: self.clone(), id, ended })
    }

    /// Ends the streams whose token is not accepted any more.
    pub fn catch_up(&self) {
        let mut open = self.open();
        open.catch_up(self.token_keys.keyring());
    }

    /// A panic elsewhere leaves the maps usable: a stream that is missing in one is only not found there.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn catch_up(&mut self, now: Arc<Keyring>) {
        if Arc::ptr_eq(&self.keyring, &now) {
            return;
        }
        let of_keys = now.retired_since(&self.keyring).filter_map(|kid| self.by_kid.get(kid));
        let of_tokens = now.revoked_since(&self.keyring).filter_map(|jti| self.by_jti.get(jti));
        let refused: BTreeSet<u64> = of_keys.chain(of_tokens).flatten().copied().collect();
        for id in &refused {
            let Some(Stream { token, end, view }) = self.remove(*id) else { continue };
            if let Err(error) = now.still_accepts(&token) {
                // Who has ended meanwhile needs no telling.
                drop(end.send(error));
                if let Some(view) = view {
                    view.end();
                }
            }
        }
        if !refused.is_empty() {
            tracing::info!(streams = refused.len(), "ended the streams whose token is not accepted any more");
        }
        self.keyring = now;
    }

    fn remove(&mut self, id: u64) -> Option<Stream> {
        let stream = self.streams.remove(&id)?;
        remove(&mut self.by_jti, &stream.token.jti, id);
        remove(&mut self.by_kid, &stream.token.kid, id);
        Some(stream)
    }
}

fn remove(streams: &mut BTreeMap<String, BTreeSet<u64>>, of: &str, id: u64) {
    if let Some(ids) = streams.get_mut(of) {
        ids.remove(&id);
        if ids.is_empty() {
            streams.remove(of);
        }
    }
}

impl Admission {
    /// From now on the stream ends when it has to although its client does not read.
    fn began(&self, view: StreamView) {
        if let Some(stream) = self.admissions.open().streams.get_mut(&self.id) {
            stream.view = Some(view);
        } else {
            view.end(); // It was refused before it began.
        }
    }

    /// Waits for the token's not being accepted any more, and says why. Cancel safe.
    async fn refused(&mut self) -> TokenError {
        match (&mut self.ended).await {
            Ok(error) => error,
            // Whoever could say so is gone with the whole control plane.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.admissions.open().remove(self.id);
    }
}

impl Subscriber for AdmittedFeed {
    async fn next(&mut self) -> Result<(u64, Arc<Snapshot>), Refusal> {
        tokio::select! {
            // What is refused is told nothing more.
            biased;
            error = self.admission.refused() => Err(Refusal::Unauthenticated(error.to_string())),
            next = self.feed.next() => next,
        }
    }

    fn began(&mut self, stream: StreamView) {
        self.admission.began(stream.clone());
        if let Some(at) = self.expires {
            let stream = stream.clone();
            self.expiry.spawn(async move {
                tokio::time::sleep_until(at).await;
                stream.end();
            });
        }
        self.feed.began(stream);
    }

    fn refused(&mut self) -> Option<Refusal> {
        let error = self.admission.ended.try_recv().ok()?;
        Some(Refusal::Unauthenticated(error.to_string()))
    }

    fn observe(&mut self, status: &SessionStatus) {
        self.feed.observe(status);
    }
}
