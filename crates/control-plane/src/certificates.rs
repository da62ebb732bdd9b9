//! What a proxy with mTLS is given besides its plan: whom it trusts, and who it is.
//!
//! Both are secrets of xDS, apart from the plan, because they come and go by the clock, and because the plan is pure. No
//! listener and no cluster changes with them.

use std::{
    collections::BTreeSet,
    fmt,
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use model::{Kind, ProxyId};
use plan::Mtls;
use store::{Change, Present, Store};
use tracing::warn;

use crate::{
    live_streams::LiveStreams,
    mesh_cas::StoredMeshCas,
    workloads::{Current, Wanted, Workload, Workloads},
};

pub struct Certificates {
    pub mesh_cas: Arc<StoredMeshCas>,
    pub workloads: Workloads,
    /// The clock by which certificates live.
    pub now: fn() -> SystemTime,
}

/// What a proxy is given. What is `None` cannot be had now: the proxy keeps what it has.
#[derive(Default)]
pub struct Given {
    pub roots: Option<Arc<xds::Resource>>,
    pub identity: Option<Arc<Workload>>,
    /// While the clock is within, nothing else is given unless somebody is woken. `None`: whatever the clock says.
    pub stays_during: Option<Range<SystemTime>>,
}

impl Certificates {
    pub fn new(mesh_cas: Arc<StoredMeshCas>, validity: Duration, now: fn() -> SystemTime) -> Self {
        Self { mesh_cas, workloads: Workloads::new(validity), now }
    }

    /// Who has no CA yet is woken when it is there: so the stream has to be registered for its mesh before it asks.
    pub fn give(&self, proxy: &ProxyId, mtls: &Mtls) -> Given {
        let Some(authority) = self.mesh_cas.of(&mtls.mesh) else { return Given::default() };
        let roots = Some(authority.encoded_roots.clone());
        if mtls.services.is_empty() {
            self.workloads.forget(proxy);
            return Given { roots, ..Given::default() };
        }
        let Current { workload, stays_during } =
            self.workloads.current(proxy, &mtls.services, &authority.cas, (self.now)());
        Given { roots, identity: workload, stays_during: Some(stays_during) }
    }

    /// Waits until the clock is outside of that time.
    pub async fn time_to_look_again(&self, stays_during: Option<&Range<SystemTime>>) {
        let Some(Range { start, end }) = stays_during else { return std::future::pending().await };
        loop {
            let now = (self.now)();
            let left = end.duration_since(now).unwrap_or_default();
            if now < *start || left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(self.workloads.clock_read_every())).await;
        }
    }

    /// `present` is at least as young as the changes: what was made again since is in use again, and its certificate, too.
    fn forget_deleted(&self, changes: &[Arc<Change>], present: &Present) {
        let of_kind = |kind| changes.iter().filter(move |it| it.key.kind == kind && it.spec.is_none());
        for change in of_kind(Kind::Dataplane).filter(|change| present.get(&change.key).is_none()) {
            self.workloads.forget(&ProxyId::new(change.key.mesh.clone(), change.key.name.clone()));
        }
        if of_kind(Kind::Mesh).next().is_some() {
            self.mesh_cas.forget_gone();
        }
    }

    /// Forgets what nobody can need any more. A certificate that has ended is kept while its proxy is connected: that it was not
    /// renewed is what its metric has to say.
    pub fn sweep(&self, present: &Present, live_streams: &LiveStreams) {
        let connected: BTreeSet<ProxyId> = live_streams.proxies().into_iter().collect();
        let wanted = |proxy: &ProxyId| match present.get(&proxy.dataplane()) {
            None => Wanted::No,
            Some(_) if connected.contains(proxy) => Wanted::Always,
            Some(_) => Wanted::WhileItHolds,
        };
        self.workloads.sweep((self.now)(), wanted);
        self.mesh_cas.forget_gone();
    }

    fn warn_of_ends(&self) {
        for (mesh, authority) in self.mesh_cas.all() {
            if let Some(warning) = authority.warning((self.now)()) {
                warn!(mesh, "{warning}");
            }
        }
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

/// How long a certificate that nobody can need any more may stay in memory, and how often the log warns of the same.
const SWEPT_EVERY: Duration = Duration::from_hours(1);

/// Forgets the certificates that nobody can need any more, and warns of CAs that end soon. Returns when the store is gone.
pub async fn forget_certificates(
    store: Arc<dyn Store>,
    certificates: Arc<Certificates>,
    live_streams: Arc<LiveStreams>,
) {
    let mut revisions = store.revisions();
    let mut seen = *revisions.borrow_and_update();
    let mut sweeps = tokio::time::interval(SWEPT_EVERY);
    loop {
        tokio::select! {
            changed = revisions.changed() => {
                if changed.is_err() {
                    return;
                }
                let heard = *revisions.borrow_and_update();
                match store.changes(seen) {
                    Ok(since) => certificates.forget_deleted(&since, &store.present()),
                    Err(_) => certificates.sweep(&store.present(), &live_streams),
                }
                seen = heard;
            }
            _ = sweeps.tick() => {
                certificates.sweep(&store.present(), &live_streams);
                certificates.warn_of_ends();
            }
        }
    }
}
