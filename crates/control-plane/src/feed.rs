//! One stream's source of snapshots: asleep until a part that it has read changes, or its certificate is to be renewed; then it
//! plans, translates and hands out what differs.

use std::{ops::Range, sync::Arc, time::SystemTime};

use model::ProxyId;
use plan::{
    Announced, Mtls, Outcome, Planned,
    envoy::{IDENTITY_CERTIFICATE, MESH_CA},
};
use tokio::time::Instant;
use tracing::{info, warn};
use xds::{Refusal, ResourceType, SessionStatus, Snapshot, StreamView, Subscriber};

use crate::{
    certificates::{Certificates, Given},
    contents::Contents,
    live_streams::{Listing, LiveStreams},
    metrics::{Metrics, OpenStream},
    record::Subscription,
    registry::{Published, Registration, Registry},
    turns::{Place, Turn, Turns},
};

/// What all feeds share.
#[derive(Debug)]
pub struct Planner {
    pub registry: Arc<Registry>,
    pub contents: Contents,
    pub metrics: Arc<Metrics>,
    pub turns: Turns,
    /// For whoever inspects a proxy.
    pub live_streams: Arc<LiveStreams>,
    pub certificates: Arc<Certificates>,
}

pub struct Feed {
    planner: Arc<Planner>,
    proxy: ProxyId,
    announced: Announced,
    expires: Option<Instant>,
    registration: Registration,
    /// Whether something may have changed since the last plan. A wake-up moves here, so that it is not lost when the wait
    /// for a turn is cancelled.
    dirty: bool,
    /// Outlives `next`, which every message of the client cancels.
    place: Option<Place>,
    snapshot: Option<Arc<Snapshot>>,
    /// When the clock is outside of it, it looks again although nothing has changed: its certificate is to be renewed.
    stays_during: Option<Range<SystemTime>>,
    said_unknown: bool,
    pushes: Pushes,
    subscription: Subscription,
    /// Since it has begun.
    open: Option<OpenStream>,
    listing: Option<Listing>,
}

/// The way from a revision to its ACK, for the metrics and the log.
#[derive(Debug, Default)]
struct Pushes {
    /// The revision on its way, and when the world reached it.
    under_way: Option<(u64, std::time::Instant)>,
    last: SessionStatus,
}

impl Feed {
    /// `expires`: when the stream ends for want of a token that holds.
    pub fn new(
        planner: Arc<Planner>,
        proxy: ProxyId,
        announced: Announced,
        subscription: Subscription,
        expires: Option<Instant>,
    ) -> Self {
        let registration = planner.registry.register();
        Self {
            planner,
            proxy,
            announced,
            expires,
            registration,
            dirty: true,
            place: None,
            snapshot: None,
            stays_during: None,
            said_unknown: false,
            pushes: Pushes::default(),
            subscription,
            open: None,
            listing: None,
        }
    }

    /// Waits for a turn. Cancel safe: the place in the queue is kept.
    async fn turn(&mut self) -> Result<Turn, Refusal> {
        let turns = &self.planner.turns;
        let turns = if self.snapshot.is_some() { &turns.further } else { &turns.first };
        if self.place.is_none()
            && let Ok(turn) = turns.clone().try_acquire_owned()
        {
            return Ok(Turn::Free(turn));
        }
        let taken_within = self.planner.turns.taken_within;
        let place = self.place.get_or_insert_with(|| Place::take(turns.clone(), taken_within));
        let turn = tokio::select! {
            turn = place => turn,
            () = at(self.expires) => return Err(expired()),
        };
        self.place = None;
        turn.ok_or_else(|| Refusal::Unavailable("the control plane is stopping".to_owned()))
    }

    /// The snapshot of the latest world, if there is one and it differs from the last.
    fn look(&mut self) -> Option<(u64, Arc<Snapshot>)> {
        let last = self.snapshot.clone();
        let Published { revision, at, .. } = loop {
            let published = self.planner.registry.published();
            let Planned { outcome, reads } = plan::plan(&published.world, &self.proxy, &self.announced);
            self.planner.metrics.plans.inc();
            // A part that is read for the first time may have changed between the world's being read and now.
            let reads_more = self.registration.replace_parts(reads);
            if reads_more && self.planner.registry.revision() != published.revision {
                continue;
            }
            match self.snapshot_of(outcome) {
                Some(snapshot) if !self.has(&snapshot) => self.snapshot = Some(Arc::new(snapshot)),
                _ => return None,
            }
            break published;
        };
        let snapshot = self.snapshot.clone()?;
        // What a stream begins with is no change on its way: its world may be hours old. So may that in which nothing changes
        // but a certificate.
        let follows_from_world = |it: ResourceType| it != ResourceType::Secret;
        if last.is_some_and(|last| differing(&last, &snapshot).any(follows_from_world)) {
            self.pushes.on_its_way(revision, at);
        }
        Some((revision, snapshot))
    }

    /// `None`: nothing is sent, because nothing is known. An empty snapshot is for an explicit delete only.
    fn snapshot_of(&mut self, outcome: Outcome) -> Option<Snapshot> {
        self.stays_during = None;
        match outcome {
            Outcome::Plan(plan) => {
                self.said_unknown = false;
                let secrets = self.secrets(plan.mtls.as_ref());
                let resources = plan::envoy::resources(&plan);
                let resources = resources.iter().filter_map(|resource| self.encoded(resource));
                Some(resources.chain(secrets).collect())
            }
            Outcome::Deleted => Some(Snapshot::default()),
            Outcome::Unknown | Outcome::NoMesh => {
                if !self.said_unknown {
                    self.said_unknown = true;
                    warn!(mesh = %self.proxy.mesh, name = %self.proxy.name, "there is no such Dataplane; its proxy keeps what it has until one is applied");
                }
                None
            }
        }
    }

    /// Whom the proxy trusts, and who it is. What cannot be had now stays as it was.
    fn secrets(&mut self, mtls: Option<&Mtls>) -> Vec<Arc<xds::Resource>> {
        let Some(mtls) = mtls else {
            self.planner.certificates.workloads.forget(&self.proxy);
            return Vec::new();
        };
        let Given { roots, identity, stays_during } = self.planner.certificates.give(&self.proxy, mtls);
        self.stays_during = stays_during;
        let roots = roots.or_else(|| self.last_secret(MESH_CA));
        let has_identity = !mtls.services.is_empty();
        let identity = identity
            .map(|workload| workload.encoded.clone())
            .or_else(|| self.last_secret(IDENTITY_CERTIFICATE))
            .filter(|_| has_identity);
        roots.into_iter().chain(identity).collect()
    }

    fn last_secret(&self, name: &str) -> Option<Arc<xds::Resource>> {
        self.snapshot.as_ref()?.get(ResourceType::Secret, name).cloned()
    }

    /// The shared encoding; from the last snapshot where the content is the same, which is nearly always.
    fn encoded(&self, resource: &plan::envoy::Resource) -> Option<Arc<xds::Resource>> {
        let resource_type = ResourceType::from_type_url(resource.type_url)?;
        let last = self.snapshot.as_ref().and_then(|last| last.get(resource_type, &resource.name));
        match last {
            Some(last) if last.version == resource.version => Some(last.clone()),
            _ => Some(self.planner.contents.share(resource_type, resource)),
        }
    }

    fn has(&self, snapshot: &Snapshot) -> bool {
        self.snapshot.as_ref().is_some_and(|last| differing(last, snapshot).next().is_none())
    }
}

const EXPIRED: &str = "the dataplane token has expired; make a new one with `kumactl generate dataplane-token` and put it \
                       into the file that kuma-dp reads";

fn expired() -> Refusal {
    Refusal::Unauthenticated(EXPIRED.to_owned())
}

/// That moment, or never.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The types of which anything differs.
fn differing(a: &Snapshot, b: &Snapshot) -> impl Iterator<Item = ResourceType> {
    ResourceType::ALL.into_iter().filter(|resource_type| !a.differences(b, *resource_type).is_empty())
}

impl Subscriber for Feed {
    fn began(&mut self, view: StreamView) {
        self.open = Some(self.planner.metrics.open_stream(view.protocol()));
        let live_streams = &self.planner.live_streams;
        let (id, connected_at) = (self.subscription.id(), self.subscription.connected_at());
        self.listing = Some(live_streams.list(
            self.proxy.clone(),
            view,
            id.to_owned(),
            connected_at,
            self.announced.clone(),
        ));
    }

    async fn next(&mut self) -> Result<(u64, Arc<Snapshot>), Refusal> {
        loop {
            if !self.dirty {
                tokio::select! {
                    () = self.registration.wake.notified() => self.dirty = true,
                    () = self.planner.certificates.time_to_look_again(self.stays_during.as_ref()) => self.dirty = true,
                    () = at(self.expires) => return Err(expired()),
                }
            }
            let turn = self.turn().await?;
            self.dirty = false;
            let next = self.look();
            drop(turn);
            if let Some(next) = next {
                return Ok(next);
            }
        }
    }

    fn observe(&mut self, status: &SessionStatus) {
        self.pushes.observe(&self.proxy, status, &self.planner.metrics);
        self.subscription.update(status);
        if let Some(listing) = &mut self.listing {
            listing.observe(status);
        }
    }
}

impl Pushes {
    /// A newer revision overtakes one that is not settled yet; the way began with the older.
    fn on_its_way(&mut self, revision: u64, at: std::time::Instant) {
        let since = self.under_way.map_or(at, |(_, since)| since);
        self.under_way = Some((revision, since));
    }

    fn observe(&mut self, proxy: &ProxyId, status: &SessionStatus, metrics: &Metrics) {
        let (mesh, name) = (&*proxy.mesh, &*proxy.name);
        for (&resource_type, counts) in &status.counts {
            let last = self.last.counts.get(&resource_type).copied().unwrap_or_default();
            let sent = counts.sent - last.sent;
            if sent > 0 {
                metrics.count_responses(resource_type, sent);
                let revision = self.under_way.map(|(revision, _)| revision);
                info!(mesh, name, r#type = ?resource_type, revision, "pushed");
            }
            if counts.rejected > last.rejected {
                metrics.count_rejections(resource_type, counts.rejected - last.rejected);
                if let Some(rejection) = status.rejections.get(&resource_type) {
                    let resources: Vec<_> = rejection.resources.iter().map(|(name, _)| &**name).collect();
                    warn!(mesh, name, r#type = ?resource_type, ?resources, error = %rejection.message, "Envoy rejected a configuration; it keeps the last good one");
                }
            }
        }
        if let Some((revision, since)) =
            self.under_way.filter(|(revision, _)| status.settled_tag >= *revision)
        {
            self.under_way = None;
            // What Envoy has refused has not arrived.
            if status.rejections.is_empty() {
                metrics.convergence.observe(since.elapsed().as_secs_f64());
                tracing::debug!(mesh, name, revision, "settled");
            }
        }
        self.last = status.clone();
    }
}
