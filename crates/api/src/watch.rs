//! `?watch=true`: what is there, and then every change as it is committed, as server-sent events (the EventSource of the
//! HTML standard).
//!
//! Nothing queues for a reader. It has a place in history, and takes what came after that place when it has room: a reader
//! that is slow costs no memory, and one that falls too far behind while it is connected is closed. It can come back with
//! `Last-Event-ID` and catch up from history.
//!
//! The events of one revision stand together. The last of them carries the revision as its id, so that a reader who was cut
//! off in the middle of one gets all of it again.

use std::{convert::Infallible, fmt::Write as _, mem, sync::Arc, time::Duration, vec};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
};
use model::{Key, Kind};
use serde_json::json;
use store::{Change, Entry, HistoryGone, Present, Revision, Store};
use tokio::{sync::watch, time::Instant};

use crate::{
    query::Query,
    respond::{Refusal, kuma_revision, title},
};

/// What is watched.
#[derive(Clone, Debug)]
pub(crate) enum Watched {
    Item(Key),
    /// All of a kind, in one mesh or across all.
    Collection {
        kind: Kind,
        mesh: Option<String>,
        name: Option<String>,
    },
}

/// Ends the streams when the server stops: closed then.
#[derive(Clone, Debug)]
pub(crate) struct Closing(pub(crate) watch::Receiver<()>);

/// Among an answer's extensions: its client can come back and go on where it was, so that its connection may make room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resumable;

/// How many changes a connected reader may leave lying before it is closed.
const BEHIND_MAX: usize = 1000;

/// How many revisions may pass while a reader is told what there is: it needs more time for that.
const BEHIND_WHILE_LISTING_MAX: u64 = 10_000;

/// About so much is made at a time: enough for one write to the socket, little to hold for a reader that is slow.
const CHUNK_BYTES: usize = 64 * 1024;

const EVENT_STREAM: &str = "text/event-stream";

/// Whether the query asks for a watch.
pub(crate) fn is_asked(query: &Query) -> Result<bool, Refusal> {
    query.flag("watch", title::RETRIEVE_LIST)
}

/// 200 and events without end; 410 when history does not reach back to where the reader was.
pub(crate) fn watch(
    store: &Arc<dyn Store>,
    quiet: Duration,
    watched: Watched,
    query: &Query,
    headers: &HeaderMap,
    closing: Option<Closing>,
) -> Result<http::Response<Body>, Refusal> {
    accepts_events(headers)?;
    for parameter in ["size", "offset", "tag"] {
        if query.get(parameter).is_some() {
            let details = format!("A watch cannot be combined with {parameter}: it tells of all of a list.");
            return Err(Refusal::bad_request(title::RETRIEVE_LIST, details));
        }
    }
    let since = since(query, headers)?;
    let revisions = store.revisions();
    let present = store.present();
    let now = present.revision();
    let (at, todo) = match since {
        None => (now.number, Todo::Present { present, after: None }),
        Some(since) => {
            let mut changes = catch_up(&**store, since, now)?;
            // Not every revision has a change of a resource.
            let at = changes.last().map_or(now.number, |last| last.revision.max(now.number));
            changes.retain(|change| watched.concerns(&change.key));
            (at, Todo::Changes(changes.into_iter()))
        }
    };
    let reader = Reader {
        store: store.clone(),
        watched,
        epoch: now.epoch,
        at,
        todo,
        revisions,
        closing,
        quiet,
        heard: Instant::now(),
    };
    let events = stream::unfold(reader, |mut reader| async {
        let chunk = reader.next().await?;
        Some((Ok::<Bytes, Infallible>(chunk), reader))
    });

    let mut answer = http::Response::new(Body::from_stream(events));
    answer.extensions_mut().insert(Resumable);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would gather what it passes on.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    kuma_revision(headers, now);
    Ok(answer)
}

fn accepts_events(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    let media = |range: &str| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let fits = |range: &str| [EVENT_STREAM, "text/*", "*/*", ""].contains(&media(range).as_str());
    if ranges.peek().is_none() || ranges.any(|value| value.split(',').any(fits)) {
        return Ok(());
    }
    let details = "A watch is answered as text/event-stream: ask for it in Accept.";
    Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, title::RETRIEVE_LIST, details))
}

/// Where the reader was. A browser that comes back says it in the header, whatever the URL says.
fn since(query: &Query, headers: &HeaderMap) -> Result<Option<Revision>, Refusal> {
    let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    let Some(text) = header.filter(|text| !text.is_empty()).or(query.get("since")) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let details =
            "since, or Last-Event-ID, is a revision as Kuma-Revision and the ids of events have it.";
        Refusal::bad_request(title::RETRIEVE_LIST, details)
    })
}

fn catch_up(store: &dyn Store, since: Revision, now: Revision) -> Result<Vec<Arc<Change>>, Refusal> {
    let gone = |why: &str| {
        let details = format!("{why}; the latest revision is {now}: begin again without since.");
        Refusal::new(StatusCode::GONE, title::RETRIEVE_LIST, details)
    };
    if since.epoch != now.epoch {
        return Err(gone(&format!("Revision {since} is of another store than this one")));
    }
    store.changes(since.number).map_err(|HistoryGone { .. }| gone(&format!("History does not hold {since}")))
}

struct Reader {
    store: Arc<dyn Store>,
    watched: Watched,
    epoch: u32,
    /// All up to this revision is told once nothing is left to do.
    at: u64,
    todo: Todo,
    revisions: watch::Receiver<u64>,
    closing: Option<Closing>,
    quiet: Duration,
    /// When it was told something last, if only that there is nothing.
    heard: Instant,
}

/// How a reader meets what has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// It had taken everything before, and waited.
    Waiting,
    /// There was more already.
    Late,
}

/// What is to be told before the reader waits for more.
enum Todo {
    /// What there was when the watch began, after the key that was told last.
    Present { present: Arc<Present>, after: Option<Key> },
    /// What concerns the reader, in order.
    Changes(vec::IntoIter<Arc<Change>>),
    /// Everything is told.
    Wait,
}

impl Reader {
    /// The next piece of the stream; `None` ends it.
    async fn next(&mut self) -> Option<Bytes> {
        let chunk = self.next_chunk().await;
        self.heard = Instant::now();
        chunk
    }

    async fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            match mem::replace(&mut self.todo, Todo::Wait) {
                Todo::Present { present, after } => return self.tell_present(&present, after.as_ref()),
                Todo::Changes(changes) if changes.len() > 0 => return Some(self.tell_changes(changes)),
                Todo::Changes(_) | Todo::Wait => {}
            }
            let at = self.at;
            let pace = if *self.revisions.borrow() > at { Pace::Late } else { Pace::Waiting };
            let (here, quiet) = (self.revision(at), tokio::time::sleep_until(self.heard + self.quiet));
            let closed = closed(self.closing.as_mut());
            tokio::select! {
                () = closed => return None,
                arrived = self.revisions.wait_for(|latest| *latest > at) => drop(arrived.ok()?),
                () = quiet => return Some(still_here(here)),
            }
            self.todo = Todo::Changes(self.arrived(pace)?.into_iter());
        }
    }

    /// `None` closes: the reader was so slow that history has gone on without it, or that it would cost too much.
    fn arrived(&mut self, pace: Pace) -> Option<Vec<Arc<Change>>> {
        // Not every revision has a change of a resource, so what has been heard of counts, too: history holds all of it.
        let heard = *self.revisions.borrow_and_update();
        let mut changes = self.store.changes(self.at).ok()?;
        self.at = changes.last().map_or(heard, |last| last.revision.max(heard));
        changes.retain(|change| self.watched.concerns(&change.key));
        // One commit may change more than that, and is no fault of the reader; nor is what came at once while it waited.
        let first = changes.first().map(|change| change.revision);
        let behind = changes.iter().filter(|change| Some(change.revision) != first).count();
        (pace == Pace::Waiting || behind <= BEHIND_MAX).then_some(changes)
    }

    fn revision(&self, number: u64) -> Revision {
        Revision { epoch: self.epoch, number }
    }

    /// `None` closes: it takes so long that the state it is being told is not worth keeping.
    fn tell_present(&mut self, present: &Arc<Present>, after: Option<&Key>) -> Option<Bytes> {
        if self.revisions.borrow().saturating_sub(self.at) > BEHIND_WHILE_LISTING_MAX {
            return None;
        }
        let mut chunk = BytesMut::new();
        for (key, entry) in self.watched.present(present, after) {
            put_event(&mut chunk, None, entry.revision, key, &entry.json);
            if chunk.len() >= CHUNK_BYTES {
                self.todo = Todo::Present { present: present.clone(), after: Some(key.clone()) };
                return Some(chunk.freeze());
            }
        }
        milestone(&mut chunk, "synced", present.revision());
        Some(chunk.freeze())
    }

    /// As many as make a chunk; the rest stays to be done.
    fn tell_changes(&mut self, mut changes: vec::IntoIter<Arc<Change>>) -> Bytes {
        let mut chunk = BytesMut::new();
        let present = self.store.present();
        while chunk.len() < CHUNK_BYTES
            && let Some(change) = changes.next()
        {
            let revision = self.revision(change.revision);
            let is_last = changes.as_slice().first().is_none_or(|next| next.revision != change.revision);
            let id = is_last.then_some(revision);
            match &change.spec {
                Some(spec) => {
                    // Most often the change is still the present, and encoded already.
                    let entry = present.get(&change.key).filter(|entry| entry.revision == revision);
                    let json = entry.map(|entry| Ok(entry.json.clone()));
                    let json =
                        json.unwrap_or_else(|| model::print_entity(&change.key, spec).map(Bytes::from));
                    put_event(&mut chunk, id, revision, &change.key, &json.unwrap_or_default());
                }
                None => delete_event(&mut chunk, id, revision, &change.key),
            }
            if is_last {
                milestone(&mut chunk, "commit", revision);
            }
        }
        self.todo = Todo::Changes(changes);
        chunk.freeze()
    }
}

/// A comment keeps the connection alive; the id lets the reader know how far it has heard although nothing concerned it.
fn still_here(revision: Revision) -> Bytes {
    format!(":\nid: {revision}\n\n").into()
}

/// Never, when nothing will tell.
async fn closed(closing: Option<&mut Closing>) {
    match closing {
        // An error is the server's end, too.
        Some(Closing(closing)) => drop(closing.changed().await),
        None => std::future::pending().await,
    }
}

impl Watched {
    fn concerns(&self, key: &Key) -> bool {
        let name = match self {
            Self::Item(_) => None,
            Self::Collection { name, .. } => name.as_deref(),
        };
        self.spans(key) && name.is_none_or(|part| key.name.contains(part))
    }

    /// Whether the key is in the range that [`Watched::present`] passes through.
    fn spans(&self, key: &Key) -> bool {
        match self {
            Self::Item(item) => item == key,
            Self::Collection { kind, mesh, .. } => {
                *kind == key.kind && mesh.as_ref().is_none_or(|mesh| **mesh == *key.mesh)
            }
        }
    }

    fn present<'a>(
        &'a self,
        present: &'a Present,
        after: Option<&'a Key>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Entry>)> {
        let first = match self {
            Self::Item(key) => key.clone(),
            Self::Collection { kind, mesh, .. } => {
                Key { kind: *kind, mesh: mesh.as_deref().unwrap_or_default().into(), name: "".into() }
            }
        };
        let here = present.from(after.cloned().unwrap_or(first)).take_while(|(key, _)| self.spans(key));
        here.filter(move |(key, _)| after != Some(key) && self.concerns(key))
    }
}

fn put_event(to: &mut BytesMut, id: Option<Revision>, revision: Revision, key: &Key, json: &Bytes) {
    head(to, id, "put", revision, key);
    to.extend_from_slice(b",\"resource\":");
    to.extend_from_slice(json);
    to.extend_from_slice(b"}\n\n");
}

fn delete_event(to: &mut BytesMut, id: Option<Revision>, revision: Revision, key: &Key) {
    head(to, id, "delete", revision, key);
    to.extend_from_slice(b"}\n\n");
}

/// All but what a put has besides. JSON as it is printed here has no line break, so it is one line of data.
fn head(to: &mut BytesMut, id: Option<Revision>, event: &str, revision: Revision, key: &Key) {
    if let Some(id) = id {
        // A buffer that grows takes whatever is written.
        let _ = writeln!(to, "id: {id}");
    }
    let (kind, mesh, name) = (key.kind.name(), json!(*key.mesh), json!(*key.name));
    let _ = write!(to, "event: {event}\ndata: {{\"revision\":\"{revision}\",\"key\":{{\"type\":\"{kind}\",");
    if key.kind.scope() == model::Scope::Mesh {
        let _ = write!(to, "\"mesh\":{mesh},");
    }
    let _ = write!(to, "\"name\":{name}}}");
}

fn milestone(to: &mut BytesMut, event: &str, revision: Revision) {
    let _ = write!(to, "id: {revision}\nevent: {event}\ndata: {{\"revision\":\"{revision}\"}}\n\n");
}
