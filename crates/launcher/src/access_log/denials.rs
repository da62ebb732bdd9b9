//! The target `refused`: who was refused, said once and counted.
//!
//! Whoever reaches an inbound can be refused as often as they like, under any name. So lines are limited in rate, names are
//! labels only where the certificate was verified, and there is a bound to how many of those there are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::access_log::cause::Cause;
use crate::access_log::entry::Refusal;
use crate::access_log::printable::printable;
use crate::metrics::{Denied, Metrics};
use crate::rate_limit::RateLimit;

/// Lines at once, and how far apart they are from then on.
const BURST: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);
/// Pairs of source and destination that are counted by name. A mesh of that many services that are all refused by one proxy
/// has other worries.
const MOST_PAIRS: usize = 1000;
/// In characters. A name of the field's own length has at most 253.
const LONGEST_NAME: usize = 256;
const LONGEST_REASON: usize = 512;

const UNKNOWN: &str = "unknown";
const OTHER: &str = "other";

#[derive(Debug)]
pub(super) struct Denials {
    mesh: String,
    metrics: Arc<Metrics>,
    pairs: Pairs,
    limit: RateLimit,
}

impl Denials {
    /// `mesh`: the one whose names are believed.
    pub(super) fn new(mesh: String, metrics: Arc<Metrics>) -> Self {
        let pairs = Pairs { named: BTreeSet::new(), most: MOST_PAIRS };
        Self { mesh, metrics, pairs, limit: RateLimit::new(BURST, INTERVAL) }
    }

    pub(super) fn take(&mut self, refusal: &Refusal, now: Instant) {
        let cause = Cause::of(refusal.reason.as_deref().unwrap_or_default());
        if cause == Cause::PeerLeft {
            return;
        }
        self.metrics.count_denied(&self.pairs.label(labels(refusal, cause, &self.mesh)));
        if let Some(held_back) = self.limit.pass(now) {
            log(refusal, cause, held_back);
        }
    }

    /// When [`Self::say_held_back`] has something to say.
    pub(super) fn due(&self) -> Option<Instant> {
        self.limit.due()
    }

    /// Says how many refusals had no line of their own.
    pub(super) fn say_held_back(&mut self) {
        match self.limit.take_held_back() {
            0 => {}
            suppressed => warn!(suppressed, "further calls were refused, more than are logged one by one"),
        }
    }
}

fn log(refusal: &Refusal, cause: Cause, held_back: u64) {
    let printed = |field: &Option<String>, longest| field.as_deref().map(|text| printable(text, longest));
    let source = printed(&refusal.source, LONGEST_NAME);
    let destination = printed(&refusal.destination, LONGEST_NAME);
    let inbound = printed(&refusal.inbound, LONGEST_NAME);
    let address = printed(&refusal.address, LONGEST_NAME);
    let reason = printed(&refusal.reason, LONGEST_REASON);
    let message = match cause {
        Cause::NotPermitted => "a call was refused: no TrafficPermission lets its source in",
        Cause::Unproved | Cause::PeerLeft => "a call was refused: its source is not proved",
    };
    warn!(
        source,
        destination,
        inbound,
        address,
        reason,
        suppressed = (held_back > 0).then_some(held_back),
        "{message}"
    );
}

fn labels(refusal: &Refusal, cause: Cause, mesh: &str) -> Denied {
    let source = refusal.source.as_deref().filter(|_| cause == Cause::NotPermitted);
    let services = source.map(|source| services(source, mesh)).filter(|services| !services.is_empty());
    let name = |text: &str| text.chars().take(LONGEST_NAME).collect();
    Denied {
        source: services.as_deref().map_or_else(|| UNKNOWN.to_owned(), name),
        destination: refusal.destination.as_deref().map_or_else(|| UNKNOWN.to_owned(), name),
    }
}

/// The services of the mesh among the URIs of a certificate, in order, with commas between them.
fn services(uris: &str, mesh: &str) -> String {
    const SCHEME: &str = "spiffe://";
    // A URI may contain commas, but one of ours no `//` after its beginning.
    let begins =
        uris.match_indices(SCHEME).map(|(at, _)| at).filter(|at| *at == 0 || uris[..*at].ends_with(','));
    let begins: Vec<_> = begins.collect();
    let ends = begins.iter().skip(1).map(|begin| begin - 1).chain([uris.len()]);
    let services: BTreeSet<_> = begins
        .iter()
        .zip(ends)
        .filter_map(|(begin, end)| model::spiffe_service(mesh, &uris[*begin..end]))
        .collect();
    services.into_iter().collect::<Vec<_>>().join(",")
}

/// The labels that are in use. The metrics keep each for ever, so there is a bound.
#[derive(Debug)]
struct Pairs {
    named: BTreeSet<Denied>,
    most: usize,
}

impl Pairs {
    /// The destination stays: the control plane has named it, and a proxy has no more of them than inbounds.
    fn label(&mut self, denied: Denied) -> Denied {
        if self.named.contains(&denied) {
            return denied;
        }
        if self.named.len() >= self.most {
            return Denied { source: OTHER.to_owned(), ..denied };
        }
        self.named.insert(denied.clone());
        denied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_PERMITTED: &str = "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:\
                                 verify_cert_failed:_SAN_matcher,_certificate_SANs_are_[x]:TLS_error_end";
    const SELF_SIGNED: &str = "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:\
                               verify_cert_failed:_X509_verify_cert:_self_signed_certificate:TLS_error_end";

    fn refusal(source: &str, reason: &str) -> Refusal {
        Refusal {
            source: Some(source.to_owned()),
            destination: Some("backend".to_owned()),
            reason: Some(reason.to_owned()),
            ..Refusal::default()
        }
    }

    #[test]
    fn a_source_is_a_label_only_if_it_is_proved_and_of_this_mesh() {
        for (uris, reason, expected) in [
            ("spiffe://default/web", NOT_PERMITTED, "web"),
            ("spiffe://default/web,spiffe://default/api", NOT_PERMITTED, "api,web"),
            ("spiffe://default/gr%C3%BCn%2Fx", NOT_PERMITTED, "grün/x"),
            ("spiffe://default/a,b,spiffe://default/c", NOT_PERMITTED, "a,b,c"),
            ("spiffe://other/web,spiffe://default/api", NOT_PERMITTED, "api"),
            ("https://x/spiffe://default/api", NOT_PERMITTED, "unknown"),
            ("spiffe://other/web", NOT_PERMITTED, "unknown"),
            ("spiffe://default", NOT_PERMITTED, "unknown"),
            ("", NOT_PERMITTED, "unknown"),
            ("spiffe://default/web", SELF_SIGNED, "unknown"),
            ("spiffe://default/web", "", "unknown"),
        ] {
            let refusal = refusal(uris, reason);
            let labels = labels(&refusal, Cause::of(reason), "default");
            assert_eq!(
                (labels.source.as_str(), labels.destination.as_str()),
                (expected, "backend"),
                "{uris}"
            );
        }
    }

    #[test]
    fn beyond_the_bound_a_source_is_other_and_the_known_go_on() {
        let denied = |source: &str| Denied { source: source.to_owned(), destination: "backend".to_owned() };
        let mut pairs = Pairs { named: BTreeSet::new(), most: 2 };
        for (source, expected) in [("a", "a"), ("b", "b"), ("c", "other"), ("a", "a"), ("d", "other")] {
            assert_eq!(pairs.label(denied(source)), denied(expected), "{source}");
        }
    }

    #[test]
    fn who_goes_away_is_not_refused() {
        let metrics = Arc::new(Metrics::new());
        let mut denials = Denials::new("default".to_owned(), metrics.clone());
        let reset =
            "TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer:TLS_error_end";
        denials.take(&refusal("spiffe://default/web", reset), Instant::now());
        assert!(!metrics.print().expect("it prints").contains("source="), "a reset is no denial");
        denials.take(&refusal("spiffe://default/web", NOT_PERMITTED), Instant::now());
        let line = r#"kuma_dp_denied_total{source="web",destination="backend"} 1"#;
        assert!(metrics.print().expect("it prints").contains(line));
    }
}
