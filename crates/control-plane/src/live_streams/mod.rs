//! The open streams of each proxy, for whoever wants to look into them, and while Envoy refuses something, its words.

mod refusals;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::{InspectedStream, Protocol};
use model::{ProxyId, Timestamp};
use plan::Announced;
use xds::{SessionStatus, StreamReport, StreamView};

pub use refusals::Refusals;

/// As many entries as there are open streams: an entry comes with its stream and goes with it.
#[derive(Debug, Default)]
pub struct LiveStreams(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next_number: u64,
    /// Of each proxy by number, so that the newest is last.
    by_proxy: BTreeMap<ProxyId, BTreeMap<u64, LiveStream>>,
}

/// One open stream.
#[derive(Clone)]
pub struct LiveStream {
    pub view: StreamView,
    /// Of its subscription, as the insight has it.
    pub subscription: String,
    pub connected_at: Timestamp,
    pub announced: Announced,
    refusals: Arc<Mutex<Refusals>>,
}

/// A stream's place among the live ones. Dropping it takes the stream out.
#[derive(Debug)]
pub struct Listing {
    streams: Arc<LiveStreams>,
    proxy: ProxyId,
    number: u64,
    refusals: Arc<Mutex<Refusals>>,
    /// Whether anything was refused when it was last heard of.
    any_refused: bool,
}

impl LiveStreams {
    pub fn list(
        self: &Arc<Self>,
        proxy: ProxyId,
        view: StreamView,
        subscription: String,
        connected_at: Timestamp,
        announced: Announced,
    ) -> Listing {
        let refusals = Arc::new(Mutex::new(Refusals::new(view.protocol())));
        let stream = LiveStream { view, subscription, connected_at, announced, refusals: refusals.clone() };
        let mut entries = self.entries();
        entries.next_number += 1;
        let number = entries.next_number;
        entries.by_proxy.entry(proxy.clone()).or_default().insert(number, stream);
        drop(entries);
        Listing { streams: self.clone(), proxy, number, refusals, any_refused: false }
    }

    /// The oldest first.
    pub fn of(&self, proxy: &ProxyId) -> Vec<LiveStream> {
        self.entries().by_proxy.get(proxy).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// All of a mesh, by proxy, and of each the oldest first.
    pub fn of_mesh(&self, mesh: &str) -> Vec<(ProxyId, LiveStream)> {
        let entries = self.entries();
        let first = ProxyId::new(mesh, "");
        let of_mesh = entries.by_proxy.range(first..).take_while(|(proxy, _)| &*proxy.mesh == mesh);
        of_mesh
            .flat_map(|(proxy, streams)| streams.values().map(|stream| (proxy.clone(), stream.clone())))
            .collect()
    }

    /// The proxies that have one.
    pub fn proxies(&self) -> Vec<ProxyId> {
        self.entries().by_proxy.keys().cloned().collect()
    }

    /// A panic elsewhere leaves the maps whole: every change to them is one insert or remove.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveStream {
    pub fn refusals(&self) -> Refusals {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn show(&self, report: &StreamReport) -> InspectedStream {
        InspectedStream {
            id: self.subscription.clone(),
            protocol: match report.protocol {
                xds::Protocol::Delta => Protocol::Delta,
                xds::Protocol::StateOfTheWorld => Protocol::StateOfTheWorld,
            },
            connected_at: self.connected_at,
            last_update_at: report.status.last_update.map(Timestamp::from),
        }
    }
}

impl fmt::Debug for LiveStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveStream").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}

impl Listing {
    /// Keeps Envoy's words. To be told every status, in order.
    pub fn observe(&mut self, status: &SessionStatus) {
        if !self.any_refused && status.rejections.is_empty() {
            return;
        }
        self.any_refused = !status.rejections.is_empty();
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).observe(status);
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        let mut entries = self.streams.entries();
        let Some(streams) = entries.by_proxy.get_mut(&self.proxy) else { return };
        streams.remove(&self.number);
        if streams.is_empty() {
            entries.by_proxy.remove(&self.proxy);
        }
    }
}

#[cfg(test)]
mod tests {
    use xds::Session;

    use super::*;

    #[test]
    fn a_stream_is_there_while_it_lives_and_the_newest_is_last() {
        let streams = Arc::new(LiveStreams::default());
        let session = Arc::new(Mutex::new(Session::new(xds::Protocol::Delta, 0)));
        let list = |proxy: &str, id: &str| {
            let view = StreamView::new(xds::Protocol::Delta, &session);
            streams.list(
                proxy.parse().unwrap(),
                view,
                id.to_owned(),
                Timestamp::default(),
                Announced::default(),
            )
        };
        let ids = |proxy: &str| {
            let of_proxy = streams.of(&proxy.parse().unwrap());
            of_proxy.into_iter().map(|it| it.subscription).collect::<Vec<_>>()
        };
        let (first, other, second) =
            (list("default.web", "1"), list("default.api", "2"), list("default.web", "3"));
        assert_eq!(
            (ids("default.web"), ids("default.api")),
            (vec!["1".into(), "3".into()], vec!["2".into()])
        );
        let of_others = [list("defaul.web", "4"), list("default2.web", "5")];
        let of_mesh = streams.of_mesh("default").into_iter();
        let of_mesh: Vec<_> = of_mesh.map(|(proxy, it)| (proxy.to_string(), it.subscription)).collect();
        assert_eq!(
            of_mesh,
            [("default.api", "2"), ("default.web", "1"), ("default.web", "3")]
                .map(|(proxy, id)| (proxy.to_owned(), id.to_owned()))
        );
        assert_eq!(streams.proxies().len(), 4);
        drop((first, of_others));
        assert_eq!(ids("default.web"), ["3"]);
        drop((second, other));
        assert!(streams.entries().by_proxy.is_empty(), "nothing is kept of streams that have ended");
    }
}
