//! What is said of one target: that its lines are lost and why, and that it works again.
//!
//! One warning at once, then at most one a minute, each with how many lines were lost since the one before. What a line says is
//! never part of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::access_log::dropped::Dropped;
use crate::access_log::printable::printable;
use crate::metrics::Metrics;
use crate::rate_limit::RateLimit;

const BETWEEN_WARNINGS: Duration = Duration::from_mins(1);
/// In characters. A path has 4,095 bytes at most, and few come near.
const LONGEST_TARGET: usize = 512;
const TOO_SLOW: &str = "it takes lines more slowly than they come";

/// Shared by the reader of the pipe and the sink.
#[derive(Debug)]
pub(super) struct Report {
    target: String,
    metrics: Arc<Metrics>,
    losses: Mutex<Losses>,
}

/// Why lines are lost, or wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) reason: Dropped,
    /// What is wrong and what to do about it.
    pub(super) words: String,
}

impl Report {
    pub(super) fn new(target: &str, metrics: &Arc<Metrics>) -> Self {
        Self {
            target: printable(target, LONGEST_TARGET),
            metrics: Arc::clone(metrics),
            losses: Mutex::new(Losses::new()),
        }
    }

    /// An attempt failed, and with it so many lines; 0 if they wait for the next.
    pub(super) fn failed(&self, trouble: Trouble, lines: usize) {
        self.metrics.count_dropped(trouble.reason, lines);
        let mut losses = self.losses();
        losses.begin(trouble);
        self.warn_of(&mut losses, lines, Instant::now());
    }

    /// A line did not fit.
    pub(super) fn overflowed(&self, now: Instant) {
        let mut losses = self.losses();
        if !losses.is_ongoing {
            losses.begin(Trouble { reason: Dropped::Backlog, words: TOO_SLOW.to_owned() });
        }
        self.metrics.count_dropped(losses.reason(), 1);
        self.warn_of(&mut losses, 1, now);
    }

    /// The sink has ended, and so many lines with it.
    pub(super) fn given_up(&self, lines: usize) {
        let mut losses = self.losses();
        if lines > 0 {
            self.metrics.count_dropped(losses.reason(), lines);
            losses.note(lines, Instant::now());
        }
        let lost = losses.take();
        self.warn(&losses, lost);
    }

    pub(super) fn delivered(&self, lines: usize) {
        self.metrics.count_delivered(lines);
    }

    /// All that was tried has worked.
    pub(super) fn works(&self) {
        if let Some(lost) = self.losses().end() {
            info!(to = self.target, lost = shown(lost), "a target of the access log works again");
        }
    }

    /// When [`Self::say_held_back`] has something to say.
    pub(super) fn due(&self) -> Option<Instant> {
        self.losses().due()
    }

    pub(super) fn say_held_back(&self, now: Instant) {
        let mut losses = self.losses();
        let lost = losses.take_due(now);
        self.warn(&losses, lost);
    }

    fn warn_of(&self, losses: &mut Losses, lines: usize, now: Instant) {
        match losses.note(lines, now) {
            Some(0) => warn!(
                to = self.target,
                reason = losses.reason().reason(),
                "a target of the access log does not work: {}",
                losses.words()
            ),
            Some(lost) => self.warn(losses, lost),
            None => {}
        }
    }

    fn warn(&self, losses: &Losses, lost: usize) {
        if lost > 0 {
            warn!(
                to = self.target,
                reason = losses.reason().reason(),
                lost,
                "lines of the access log were lost: {}",
                losses.words()
            );
        }
    }

    /// No holder panics, and if one did, the counts would be no worse.
    fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(lost: usize) -> Option<usize> {
    (lost > 0).then_some(lost)
}

/// Decides what is said, and when.
#[derive(Debug)]
struct Losses {
    limit: RateLimit,
    /// The last one, over or not.
    trouble: Option<Trouble>,
    is_ongoing: bool,
    /// A warning of it has been given, and that it is over has not been said.
    is_known: bool,
    /// Lines that have not been spoken of.
    lost: usize,
}

impl Losses {
    fn new() -> Self {
        let limit = RateLimit::new(1, BETWEEN_WARNINGS);
        Self { limit, trouble: None, is_ongoing: false, is_known: false, lost: 0 }
    }

    fn begin(&mut self, trouble: Trouble) {
        self.trouble = Some(trouble);
        self.is_ongoing = true;
    }

    /// If there is to be a warning now: of how many lines.
    fn note(&mut self, lines: usize, now: Instant) -> Option<usize> {
        self.lost += lines;
        self.limit.pass(now)?;
        self.is_known = true;
        Some(self.take())
    }

    /// The trouble is over. If that is to be said: how many lines it has cost since the last warning.
    fn end(&mut self) -> Option<usize> {
        self.is_ongoing = false;
        std::mem::take(&mut self.is_known).then(|| self.take())
    }

    fn due(&self) -> Option<Instant> {
        self.limit.due().filter(|_| self.lost > 0)
    }

    fn take_due(&mut self, now: Instant) -> usize {
        if self.due().is_none_or(|due| now < due) {
            return 0;
        }
        self.note(0, now).unwrap_or_default()
    }

    fn take(&mut self) -> usize {
        std::mem::take(&mut self.lost)
    }

    fn reason(&self) -> Dropped {
        self.trouble.as_ref().map_or(Dropped::Backlog, |trouble| trouble.reason)
    }

    fn words(&self) -> &str {
        self.trouble.as_ref().map_or(TOO_SLOW, |trouble| &trouble.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_warning_a_minute_with_what_was_lost_since_and_the_rest_is_not_forgotten() {
        let mut losses = Losses::new();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(losses.note(3, at(0)), Some(3));
        assert_eq!(losses.note(1, at(1)), None);
        assert_eq!(losses.note(5, at(59)), None);
        assert_eq!(losses.note(2, at(60)), Some(8));
        assert_eq!(losses.due(), None, "all of it has been said");
        assert_eq!(losses.note(4, at(61)), None);
        assert_eq!(losses.due(), Some(at(120)));
        assert_eq!(losses.take_due(at(119)), 0);
        assert_eq!(losses.take_due(at(120)), 4);
        assert_eq!(losses.note(1, at(121)), None, "that was the warning of this minute");
    }

    #[test]
    fn that_it_works_again_is_said_once_a_warning() {
        let mut losses = Losses::new();
        let start = Instant::now();
        assert_eq!(losses.end(), None, "nothing was wrong");
        assert_eq!(losses.note(0, start), Some(0));
        assert_eq!(losses.note(7, start), None);
        assert_eq!(losses.end(), Some(7));
        assert_eq!(losses.end(), None, "it has been said");
        assert_eq!(losses.note(1, start), None);
        assert_eq!(losses.end(), None, "nobody knows that something was wrong again");
        assert_eq!(losses.due(), Some(start + BETWEEN_WARNINGS), "but what it cost will be said");
    }

    #[test]
    fn what_does_not_fit_is_counted_for_the_reason_why_the_queue_is_full() {
        let metrics = Arc::new(Metrics::new());
        let report = Report::new("tcp:a:1", &metrics);
        let counted = |reason: &str, count: u32| {
            let line = format!("kuma_dp_access_log_lines_dropped_total{{reason=\"{reason}\"}} {count}\n");
            let printed = metrics.print().expect("it prints");
            assert!(printed.contains(&line), "{line}{printed}");
        };
        report.overflowed(Instant::now());
        counted("backlog", 1);
        report.failed(Trouble { reason: Dropped::Unreachable, words: "refused".to_owned() }, 0);
        report.overflowed(Instant::now());
        counted("unreachable", 1);
        report.works();
        report.overflowed(Instant::now());
        counted("backlog", 2);
        report.given_up(5);
        counted("backlog", 7);
    }
}
