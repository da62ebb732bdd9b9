//! The target `refused`: who was refused, said once and counted.
//!
//! Whoever reaches an inbound can be refused as often as they like, under any name. So lines are limited in rate, names are
//! labels only where the certificate was verified, and there is a bound to how many of those there are. Each cause has a limit
//! of its own, and each pair of labels a line when it is new: no flood of strangers hides that a peer of the mesh was refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::access_log::cause::Cause;
use crate::access_log::entry::Refusal;
use crate::access_log::printable::printable;
use crate::metrics::{Denied, Metrics};
use crate::rate_limit::RateLimit;

/// Lines of one cause at once, and how far apart they are from then on.
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
    limits: BTreeMap<Cause, RateLimit>,
}

impl Denials {
    /// `mesh`: the one whose names are believed.
    pub(super) fn new(mesh: String, metrics: Arc<Metrics>) -> Self {
        let pairs = Pairs { named: BTreeSet::new(), most: MOST_PAIRS };
        Self { mesh, metrics, pairs, limits: BTreeMap::new() }
    }

    pub(super) fn take(&mut self, refusal: &Refusal, now: Instant) {
        if let Some((cause, held_back)) = self.count(refusal, now) {
            log(refusal, cause, held_back);
        }
    }

    /// When [`Self::say_held_back`] has something to say.
    pub(super) fn due(&self) -> Option<Instant> {
        self.limits.values().filter_map(RateLimit::due).min()
    }

    /// Says how many refusals had no line of their own.
    pub(super) fn say_held_back(&mut self) {
        for (cause, limit) in &mut self.limits {
            match limit.take_held_back() {
                0 => {}
                suppressed => warn!(
                    suppressed,
                    "more calls were refused than are logged one by one: {}",
                    cause.explanation()
                ),
            }
        }
    }

    /// If it is to have a line: its cause, and how many of that cause had none before it.
    fn count(&mut self, refusal: &Refusal, now: Instant) -> Option<(Cause, u64)> {
        let cause = Cause::of(refusal)?;
        let Labelled { labels, is_first } = self.pairs.label(labels(refusal, cause, &self.mesh));
        self.metrics.count_denied(&labels);
        if is_first {
            return Some((cause, 0));
        }
        let limit = self.limits.entry(cause).or_insert_with(|| RateLimit::new(BURST, INTERVAL));
        limit.pass(now).map(|held_back| (cause, held_back))
    }
}

fn log(refusal: &Refusal, cause: Cause, held_back: u64) {
    let printed = |field: &Option<String>, longest| field.as_deref().map(|text| printable(text, longest));
    let source = printed(&refusal.source, LONGEST_NAME);
    let destination = printed(&refusal.destination, LONGEST_NAME);
    let inbound = printed(&refusal.inbound, LONGEST_NAME);
    let address = printed(&refusal.address, LONGEST_NAME);
    let reason = printed(&refusal.reason, LONGEST_REASON);
    warn!(
        source,
        destination,
        inbound,
        address,
        reason,
        suppressed = (held_back > 0).then_some(held_back),
        "a call was refused: {}",
        cause.explanation()
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

/// The services of the mesh among the URIs of a certificate, in order, with commas between them. A comma of a name is `%2C`
/// and its percent sign `%25`, as [`model::spiffe_id`] encodes, so that no service looks like several.
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
        .map(|service| service.replace('%', "%25").replace(',', "%2C"))
        .collect();
    services.into_iter().collect::<Vec<_>>().join(",")
}

/// The labels that are in use. The metrics keep each for ever, so there is a bound.
#[derive(Debug)]
struct Pairs {
    named: BTreeSet<Denied>,
    most: usize,
}

#[derive(Debug)]
struct Labelled {
    labels: Denied,
    /// No other has had these labels before.
    is_first: bool,
}

impl Pairs {
    /// The destination stays: the control plane has named it, and a proxy has no more of them than inbounds.
    fn label(&mut self, denied: Denied) -> Labelled {
        if self.named.contains(&denied) {
            return Labelled { labels: denied, is_first: false };
        }
        if self.named.len() >= self.most {
            return Labelled { labels: Denied { source: OTHER.to_owned(), ..denied }, is_first: false };
        }
        self.named.insert(denied.clone());
        Labelled { labels: denied, is_first: true }
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

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
            ("spiffe://default/a,b,spiffe://default/c", NOT_PERMITTED, "a%2Cb,c"),
            ("spiffe://default/a,spiffe://default/b,spiffe://default/c", NOT_PERMITTED, "a,b,c"),
            ("spiffe://default/a%252Cb", NOT_PERMITTED, "a%252Cb"),
            ("spiffe://other/web,spiffe://default/api", NOT_PERMITTED, "api"),
            ("https://x/spiffe://default/api", NOT_PERMITTED, "unknown"),
            ("spiffe://other/web", NOT_PERMITTED, "unknown"),
            ("spiffe://default", NOT_PERMITTED, "unknown"),
            ("", NOT_PERMITTED, "unknown"),
            ("spiffe://default/web", SELF_SIGNED, "unknown"),
            ("spiffe://default/web", "", "unknown"),
        ] {
            let refusal = refusal(uris, reason);
            let cause = Cause::of(&refusal).expect("it is one");
            let labels = labels(&refusal, cause, "default");
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
        for (source, expected, first) in [
            ("a", "a", true),
            ("b", "b", true),
            ("c", "other", false),
            ("a", "a", false),
            ("d", "other", false),
        ] {
            let Labelled { labels, is_first } = pairs.label(denied(source));
            assert_eq!((labels, is_first), (denied(expected), first), "{source}");
        }
    }

    /// Those refusals, in order and all at once, that have a line of their own, with what had none before.
    fn lines(refusals: &[Refusal]) -> Vec<(usize, u64)> {
        let mut denials = Denials::new("default".to_owned(), Arc::new(Metrics::new()));
        let now = Instant::now();
        let line = |(index, refusal)| denials.count(refusal, now).map(|(_, held_back)| (index, held_back));
        refusals.iter().enumerate().filter_map(line).collect()
    }

    #[test]
    fn no_flood_hides_a_new_pair_nor_another_cause() {
        const FLOOD: usize = 1000;
        let no_tls = Refusal { details: Some("filter_chain_not_found".to_owned()), ..refusal("", "") };
        let web = refusal("spiffe://default/web", NOT_PERMITTED);
        let api = refusal("spiffe://default/api", NOT_PERMITTED);
        let elsewhere = Refusal { destination: Some("db".to_owned()), ..web.clone() };
        let unproved = refusal("spiffe://default/web", SELF_SIGNED);
        for (flood, others) in [
            (&unproved, vec![&web, &web, &api, &no_tls]),
            (&no_tls, vec![&web, &web, &unproved]),
            (&web, vec![&api, &elsewhere, &unproved, &no_tls]),
        ] {
            let refusals: Vec<_> = iter::repeat_n(flood, FLOOD).chain(others).cloned().collect();
            let lines = lines(&refusals);
            let (of_flood, of_others) = lines.split_at(1 + usize::try_from(BURST).expect("a few"));
            assert!(of_flood.iter().map(|(index, _)| *index).eq(0..of_flood.len()), "{flood:?}: {lines:?}");
            let expected: Vec<_> = (FLOOD..refusals.len()).map(|index| (index, 0)).collect();
            assert_eq!(of_others, expected, "after a flood of {flood:?}");
        }
    }

    #[test]
    fn what_was_held_back_is_said_per_cause_and_when_the_first_of_them_is_due() {
        let mut denials = Denials::new("default".to_owned(), Arc::new(Metrics::new()));
        let start = Instant::now();
        for (source, reason, at) in
            [("spiffe://default/web", NOT_PERMITTED, start), ("", SELF_SIGNED, start + INTERVAL / 2)]
        {
            for _ in 0..20 {
                denials.count(&refusal(source, reason), at);
            }
        }
        assert_eq!(denials.due(), Some(start + INTERVAL));
        denials.say_held_back();
        assert_eq!(denials.due(), None, "all of it has been said");
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
