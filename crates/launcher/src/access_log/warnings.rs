//! What is said of lines that no sink gets: which target, if they have one, and why.
//!
//! For each reason and target one warning at once, then at most one a minute, each with how many lines had none since the one
//! before. Nothing of a line is said but its target, which the control plane has chosen: nobody knows who wrote the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::access_log::dropped::Dropped;
use crate::access_log::printable::printable;
use crate::rate_limit::RateLimit;

const BETWEEN_WARNINGS: Duration = Duration::from_mins(1);
/// Of a target that cannot be one, in characters.
const LONGEST_TARGET: usize = 512;
/// Targets that have warnings of their own at once. More share those of their reason.
const MOST_TARGETS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Warnings {
    limits: BTreeMap<Subject, RateLimit>,
}

/// What a warning is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    reason: Dropped,
    /// As it is printed.
    target: Option<String>,
}

impl Warnings {
    /// A line was dropped.
    pub(super) fn take(&mut self, reason: Dropped, target: Option<&str>, now: Instant) {
        let subject = Subject { reason, target: target.map(|target| printable(target, LONGEST_TARGET)) };
        if let Some(suppressed) = self.pass(&subject, now) {
            warn!(
                reason = reason.reason(),
                to = subject.target,
                suppressed = (suppressed > 0).then_some(suppressed),
                "a line of the access log was dropped: {}",
                reason.explanation()
            );
        }
    }

    /// When [`Self::say_held_back`] has something to say.
    pub(super) fn due(&self) -> Option<Instant> {
        self.limits.values().filter_map(RateLimit::due).min()
    }

    /// Says which lines were dropped and not spoken of when it is time to.
    pub(super) fn say_held_back(&mut self, now: Instant) {
        for (subject, lines) in self.take_due(now) {
            say(&subject, lines);
        }
    }

    /// Says that of all lines, due or not.
    pub(super) fn finish(&mut self) {
        for (subject, limit) in &mut self.limits {
            match limit.take_held_back() {
                0 => {}
                lines => say(subject, lines),
            }
        }
    }

    /// If there is to be a warning: how many lines had none before it.
    fn pass(&mut self, subject: &Subject, now: Instant) -> Option<u64> {
        if let Some(limit) = self.limits.get_mut(subject) {
            return limit.pass(now);
        }
        if self.limits.len() >= MOST_TARGETS {
            self.limits.retain(|_, limit| !limit.is_at_rest(now));
        }
        let has_room = self.limits.len() < MOST_TARGETS;
        let target = subject.target.clone().filter(|_| has_room);
        let limits = self.limits.entry(Subject { target, ..*subject });
        limits.or_insert_with(|| RateLimit::new(1, BETWEEN_WARNINGS)).pass(now)
    }

    fn take_due(&mut self, now: Instant) -> Vec<(Subject, u64)> {
        let is_due = |limit: &RateLimit| limit.due().is_some_and(|due| due <= now);
        let due = self.limits.iter_mut().filter(|(_, limit)| is_due(limit));
        due.filter_map(|(subject, limit)| limit.pass(now).map(|lines| (subject.clone(), lines))).collect()
    }
}

fn say(subject: &Subject, lines: u64) {
    warn!(
        reason = subject.reason.reason(),
        to = subject.target,
        suppressed = lines,
        "more lines of the access log were dropped: {}",
        subject.reason.explanation()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(target: &str) -> Subject {
        Subject { reason: Dropped::BadTarget, target: Some(target.to_owned()) }
    }

    #[test]
    fn each_target_is_named_and_what_is_held_back_is_said_a_minute_later() {
        let mut warnings = Warnings::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let malformed = Subject { reason: Dropped::Malformed, target: None };
        for (subject, second, expected) in [
            (&bad("file:a"), 0, Some(0)),
            (&bad("file:b"), 1, Some(0)),
            (&malformed, 1, Some(0)),
            (&bad("file:a"), 2, None),
            (&bad("file:b"), 3, None),
            (&bad("file:b"), 4, None),
        ] {
            assert_eq!(warnings.pass(subject, at(second)), expected, "{subject:?} {second}");
        }
        assert_eq!(warnings.due(), Some(at(60)));
        assert_eq!(warnings.take_due(at(59)), []);
        assert_eq!(warnings.take_due(at(60)), [(bad("file:a"), 1)]);
        assert_eq!(warnings.take_due(at(61)), [(bad("file:b"), 2)]);
        assert_eq!(warnings.due(), None, "all of it has been said");
        assert_eq!(warnings.pass(&bad("file:a"), at(62)), None, "that was the warning of this minute");
    }

    #[test]
    fn beyond_the_bound_targets_share_a_warning_until_the_known_are_at_rest() {
        let mut warnings = Warnings::default();
        let start = Instant::now();
        for number in 0..MOST_TARGETS {
            assert_eq!(warnings.pass(&bad(&format!("file:{number}")), start), Some(0), "{number}");
        }
        for (target, expected) in [("file:x", Some(0)), ("file:y", None), ("file:0", None)] {
            assert_eq!(warnings.pass(&bad(target), start), expected, "{target}");
        }
        let later = start + BETWEEN_WARNINGS;
        let shared = Subject { reason: Dropped::BadTarget, target: None };
        assert_eq!(warnings.take_due(later), [(shared, 1), (bad("file:0"), 1)]);
        for target in ["file:x", "file:y"] {
            assert_eq!(warnings.pass(&bad(target), later), Some(0), "{target}: there is room now");
        }
        assert!(warnings.limits.len() <= MOST_TARGETS, "{}", warnings.limits.len());
    }
}
