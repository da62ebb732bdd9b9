//! The certificates of proxies: one a proxy, in memory only, shared by its streams and kept for when it comes back.
//!
//! A new one is signed when there is none, when two thirds of its time are over, when the Dataplane has other services, and
//! when another CA signs. Whatever keeps it from being signed, the one that is there stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use identity::{MeshCas, MeshCasError, SystemRandom, WorkloadCertificate};
use model::ProxyId;
use plan::envoy;
use prometheus_client::metrics::counter::Counter;
use tracing::error;
use xds::ResourceType;

/// How long after a failure a certificate is signed anew.
const TRIED_AGAIN_AFTER: Duration = Duration::from_mins(1);

const CLOCK_READ_EVERY_MAX: Duration = Duration::from_hours(1);

pub struct Workloads {
    validity: Duration,
    /// Certificates signed since the start.
    pub signed: Counter,
    /// A lock each, so that of one proxy one at a time is signed, and nobody else waits. A slot that somebody has in his hands
    /// stays: else he would sign into one that is gone, and the next would sign again.
    slots: Mutex<BTreeMap<ProxyId, Arc<Slot>>>,
}

type Slot = Mutex<Option<Arc<Workload>>>;

/// A proxy's certificate, and its wire form with the key.
pub struct Workload {
    pub fingerprint: String,
    /// Those that it names.
    pub services: BTreeSet<String>,
    /// The id of the CA that has signed it.
    pub ca: String,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
    pub renew_at: SystemTime,
    chain_pem: String,
    pub encoded: Arc<xds::Resource>,
}

/// A certificate to be given to a proxy, and for how long.
pub struct Current {
    /// `None`: none could be signed, and there was none before.
    pub workload: Option<Arc<Workload>>,
    /// While the clock is within, asking again gives the same. It leaves at either end, for clocks are set back, too.
    pub stays_during: Range<SystemTime>,
}

/// Whether a certificate is kept that its proxy was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    No,
    /// For when the proxy comes back.
    WhileItHolds,
    Always,
}

impl Workloads {
    /// `validity`: how long a certificate lives from its signing on.
    pub fn new(validity: Duration) -> Self {
        Self { validity, signed: Counter::default(), slots: Mutex::default() }
    }

    /// How often whoever sleeps until a certificate is due has to look at the clock, which may have been set meanwhile: often
    /// enough for far less than the third of a certificate's life that is left when it is due.
    pub fn clock_read_every(&self) -> Duration {
        CLOCK_READ_EVERY_MAX.min(self.validity / 10)
    }

    /// The certificate of a proxy that has these services (one at least), signed now if it has to be.
    pub fn current(
        &self,
        proxy: &ProxyId,
        services: &BTreeSet<String>,
        cas: &MeshCas,
        now: SystemTime,
    ) -> Current {
        let slot = self.slots().entry(proxy.clone()).or_default().clone();
        let mut slot = lock(&slot);
        if let Some(workload) = slot.as_ref().filter(|it| it.is_good(services, cas, now)) {
            return Current { workload: Some(workload.clone()), stays_during: workload.is_of_use_during() };
        }
        match Workload::sign(services, cas, self.validity, now) {
            Ok(fresh) => {
                self.signed.inc();
                let fresh = slot.insert(Arc::new(fresh)).clone();
                Current { stays_during: fresh.is_of_use_during(), workload: Some(fresh) }
            }
            Err(reason) => {
                let (mesh, name) = (&*proxy.mesh, &*proxy.name);
                error!(mesh, name, error = %reason, "no certificate could be signed; the proxy keeps the one that it has, if any");
                Current { workload: slot.clone(), stays_during: now..now + TRIED_AGAIN_AFTER }
            }
        }
    }

    /// The certificate that a proxy was given last. Signs nothing.
    pub fn of(&self, proxy: &ProxyId) -> Option<Arc<Workload>> {
        let slot = self.slots().get(proxy)?.clone();
        lock(&slot).clone()
    }

    /// For a proxy that needs none any more.
    pub fn forget(&self, proxy: &ProxyId) {
        let Some(slot) = self.slots().get(proxy).cloned() else { return };
        *lock(&slot) = None;
        drop(slot);
        let mut slots = self.slots();
        if slots.get_mut(proxy).is_some_and(|slot| content_at_rest(slot).is_some_and(|it| it.is_none())) {
            slots.remove(proxy);
        }
    }

    /// Forgets those that are not wanted. It waits for nobody: what is in use now is looked at the next time.
    pub fn sweep(&self, now: SystemTime, wanted: impl Fn(&ProxyId) -> Wanted) {
        let is_kept = |proxy: &ProxyId, workload: &Workload| match wanted(proxy) {
            Wanted::No => false,
            Wanted::WhileItHolds => now <= workload.not_after,
            Wanted::Always => true,
        };
        self.slots().retain(|proxy, slot| match content_at_rest(slot) {
            Some(content) => content.as_ref().is_some_and(|workload| is_kept(proxy, workload)),
            None => true,
        });
    }

    /// A panic elsewhere leaves the map whole: every change to it is one insert or remove.
    fn slots(&self) -> MutexGuard<'_, BTreeMap<ProxyId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of a slot that nobody has in his hands. Under the lock of the map nobody can take it meanwhile.
fn content_at_rest(slot: &mut Arc<Slot>) -> Option<&mut Option<Arc<Workload>>> {
    let slot = Arc::get_mut(slot)?;
    Some(slot.get_mut().unwrap_or_else(PoisonError::into_inner))
}

/// A panic elsewhere leaves it whole: the only change to it is one assignment.
fn lock(slot: &Slot) -> MutexGuard<'_, Option<Arc<Workload>>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Workload {
    fn sign(
        services: &BTreeSet<String>,
        cas: &MeshCas,
        validity: Duration,
        now: SystemTime,
    ) -> Result<Self, MeshCasError> {
        let signed = cas.sign_workload(services, validity, now, &SystemRandom::new())?;
        let WorkloadCertificate {
            chain_pem, fingerprint, services, ca, not_before, not_after, renew_at, ..
        } = signed;
        let resource = envoy::Resource::identity_certificate(&fingerprint, &chain_pem, &signed.key_pem);
        let (name, version) = (resource.name.clone(), resource.version.clone());
        let encoded = Arc::new(xds::Resource::new(ResourceType::Secret, name, version, &resource.encode()));
        Ok(Self { fingerprint, services, ca, not_before, not_after, renew_at, chain_pem, encoded })
    }

    fn is_good(&self, services: &BTreeSet<String>, cas: &MeshCas, now: SystemTime) -> bool {
        self.services == *services && self.ca == cas.signing().id() && self.is_of_use_during().contains(&now)
    }

    /// One whose time has not come yet was signed by a clock that was set back since: nobody takes it.
    fn is_of_use_during(&self) -> Range<SystemTime> {
        self.not_before..self.renew_at
    }

    /// As it is shown: without the key.
    pub fn without_key(&self) -> envoy::Resource {
        envoy::Resource::identity_certificate(&self.fingerprint, &self.chain_pem, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
    }

    fn cas() -> MeshCas {
        MeshCas::generate("default", now(), &SystemRandom::new()).unwrap()
    }

    fn services(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn web() -> ProxyId {
        ProxyId::new("default", "web")
    }

    #[test]
    fn a_certificate_is_signed_when_it_has_to_be_and_not_again() {
        let workloads = Workloads::new(3 * DAY);
        let cas = cas();
        let rotated = cas.with_new(now(), &SystemRandom::new()).unwrap();
        let rotated = rotated.signing_with(rotated.all().last().unwrap().id()).unwrap();
        let other_mesh = MeshCas::generate("default", now(), &SystemRandom::new()).unwrap();
        let mut last: Option<Arc<Workload>> = None;
        for (why, names, cas, at, signed) in [
            ("the first", &["web"][..], &cas, now(), true),
            ("the same", &["web"], &cas, now() + DAY, false),
            ("other services", &["api", "web"], &cas, now() + DAY, true),
            ("just before", &["api", "web"], &cas, now() + 3 * DAY - Duration::from_secs(1), false),
            ("two thirds are over", &["api", "web"], &cas, now() + 3 * DAY, true),
            ("another CA signs", &["api", "web"], &rotated, now() + 3 * DAY, true),
            ("a mesh made anew", &["api", "web"], &other_mesh, now() + 3 * DAY, true),
            ("the clock was set back", &["api", "web"], &other_mesh, now(), true),
        ] {
            let current = workloads.current(&web(), &services(names), cas, at);
            let workload = current.workload.unwrap();
            assert_eq!(current.stays_during, workload.not_before..workload.renew_at, "{why}");
            assert!(current.stays_during.contains(&at), "{why}");
            assert_eq!((&workload.services, workload.ca.as_str()), (&services(names), cas.signing().id()));
            let is_new = last.is_none_or(|last| !Arc::ptr_eq(&last, &workload));
            assert_eq!(is_new, signed, "{why}");
            assert_eq!(&*workload.encoded.version, workload.fingerprint);
            last = Some(workload);
        }
        assert_eq!(workloads.signed.get(), 6);
    }

    #[test]
    fn what_cannot_be_signed_leaves_what_there_is_and_is_tried_again() {
        let workloads = Workloads::new(DAY);
        let cas = cas();
        let ended = cas.signing().not_after();
        let none = workloads.current(&web(), &services(&["web"]), &cas, ended);
        assert!(none.workload.is_none());
        assert_eq!(none.stays_during, ended..ended + TRIED_AGAIN_AFTER);

        let last = workloads.current(&web(), &services(&["web"]), &cas, ended - DAY).workload.unwrap();
        let still = workloads.current(&web(), &services(&["web"]), &cas, ended);
        assert!(Arc::ptr_eq(&still.workload.unwrap(), &last));
        assert_eq!(still.stays_during, ended..ended + TRIED_AGAIN_AFTER);
    }

    #[test]
    fn what_is_not_needed_any_more_is_forgotten() {
        let workloads = Workloads::new(DAY);
        let cas = cas();
        let proxies = ["gone", "ended", "ended-in-use", "lives"].map(|name| ProxyId::new("default", name));
        for (proxy, at) in proxies.iter().zip([now() + DAY, now(), now(), now() + DAY]) {
            workloads.current(proxy, &services(&["web"]), &cas, at);
        }
        let sweep = || {
            workloads.sweep(now() + 2 * DAY, |proxy| match &*proxy.name {
                "gone" => Wanted::No,
                "ended-in-use" => Wanted::Always,
                _ => Wanted::WhileItHolds,
            });
        };
        // Whoever holds a slot may be about to sign into it.
        let in_hands = workloads.slots().get(&proxies[0]).cloned().unwrap();
        let signing = lock(&in_hands);
        sweep();
        drop(signing);
        let left = || proxies.each_ref().map(|proxy| workloads.of(proxy).is_some());
        assert_eq!(left(), [true, false, true, true]);
        workloads.forget(&proxies[0]);
        assert_eq!((left()[0], workloads.slots().contains_key(&proxies[0])), (false, true));
        workloads.current(&proxies[0], &services(&["web"]), &cas, now() + DAY);
        assert!(lock(&in_hands).is_some(), "nobody signs elsewhere");
        drop(in_hands);
        sweep();
        assert_eq!(left(), [false, false, true, true]);
        workloads.forget(&proxies[2]);
        workloads.forget(&proxies[3]);
        assert!(workloads.slots().is_empty());
    }

    #[test]
    fn the_key_is_for_the_proxy_alone() {
        let workload = Workload::sign(&services(&["web"]), &cas(), DAY, now()).unwrap();
        let shown = workload.without_key();
        assert_eq!((&shown.name, &shown.version), (&workload.encoded.name, &workload.encoded.version));
        let has_key = |bytes: &[u8]| bytes.windows(11).any(|it| it == b"PRIVATE KEY");
        assert!(!has_key(&shown.encode()) && !format!("{:?}", workload.encoded).contains("PRIVATE"));
    }
}
