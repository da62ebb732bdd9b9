//! How often something may be said, when others decide how often it happens.

use std::time::Duration;

use tokio::time::Instant;

/// So many at once, then one an interval (the generic cell rate algorithm). What was held back is counted, so that it can be
/// said with the next that passes.
#[derive(Debug)]
pub(crate) struct RateLimit {
    interval: Duration,
    /// How far [`Self::paid_until`] may lie ahead: the intervals of a burst but one.
    tolerance: Duration,
    /// Every passage pays for one interval.
    paid_until: Option<Instant>,
    held_back: u64,
}

impl RateLimit {
    /// `burst`: how many pass at once after a long rest, one at least.
    pub(crate) fn new(burst: u32, interval: Duration) -> Self {
        Self { interval, tolerance: interval * burst.saturating_sub(1), paid_until: None, held_back: 0 }
    }

    /// One asks to pass. If it may, how many were held back since the last that did.
    pub(crate) fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.opens().is_some_and(|opens| now < opens) {
            self.held_back += 1;
            return None;
        }
        self.paid_until = Some(self.paid_until.map_or(now, |paid| paid.max(now)) + self.interval);
        Some(std::mem::take(&mut self.held_back))
    }

    /// When those that are held back can be spoken of at the latest wanted moment, which is the earliest allowed one; `None`
    /// while nobody is.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.opens().filter(|_| self.held_back > 0)
    }

    /// How many are held back and have not been spoken of; from now on none are.
    pub(crate) fn take_held_back(&mut self) -> u64 {
        std::mem::take(&mut self.held_back)
    }

    /// Whether it knows nothing that a new one would not.
    pub(crate) fn is_at_rest(&self, now: Instant) -> bool {
        self.held_back == 0 && self.paid_until.is_none_or(|paid| paid <= now)
    }

    /// From when on the next may pass.
    fn opens(&self) -> Option<Instant> {
        self.paid_until.and_then(|paid| paid.checked_sub(self.tolerance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each event with the seconds at which it comes: those that pass, with what was held back before them.
    fn passed(limit: &mut RateLimit, seconds: &[f64]) -> Vec<(usize, u64)> {
        let start = Instant::now();
        let pass = |(index, at): (usize, &f64)| {
            limit.pass(start + Duration::from_secs_f64(*at)).map(|held_back| (index, held_back))
        };
        seconds.iter().enumerate().filter_map(pass).collect()
    }

    #[test]
    fn a_burst_passes_and_then_one_an_interval() {
        let mut limit = RateLimit::new(3, Duration::from_secs(1));
        let passed = passed(&mut limit, &[0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.1, 2.5]);
        assert_eq!(passed, [(0, 0), (1, 0), (2, 0), (5, 2), (7, 1)]);
    }

    #[test]
    fn a_rest_earns_one_burst_however_long_it_was() {
        let mut limit = RateLimit::new(2, Duration::from_secs(1));
        let passed = passed(&mut limit, &[0.0, 0.0, 3600.0, 3600.0, 3600.0]);
        assert_eq!(passed, [(0, 0), (1, 0), (2, 0), (3, 0)]);
    }

    #[test]
    fn what_is_held_back_is_due_when_the_next_could_pass() {
        let mut limit = RateLimit::new(1, Duration::from_secs(1));
        let start = Instant::now();
        limit.pass(start);
        assert_eq!(limit.due(), None, "nothing is held back");
        limit.pass(start);
        limit.pass(start);
        assert_eq!(limit.due(), Some(start + Duration::from_secs(1)));
        assert_eq!(limit.take_held_back(), 2);
        assert_eq!(limit.due(), None, "it has been said");
    }
}
