//! Refusals in the log, in a way that no client can flood it.

use std::{
    fmt::Display,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

/// At most one line a second, whoever is refused; a line says how many there were since the last one.
pub(crate) struct RefusalLog {
    start: Instant,
    /// The second of the last line, counted from 1; 0 before the first.
    last_second: AtomicU64,
    unsaid: AtomicU64,
}

impl RefusalLog {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, last_second: AtomicU64::new(0), unsaid: AtomicU64::new(0) }
    }

    pub(crate) fn note(&self, from: SocketAddr, reason: &dyn Display) {
        if let Some(unsaid) = self.turn(Instant::now()) {
            tracing::warn!(%from, %reason, unsaid, "refused a client");
        }
    }

    /// How many were not said since the last line, if there may be a line now.
    fn turn(&self, now: Instant) -> Option<u64> {
        let second = now.duration_since(self.start).as_secs() + 1;
        if self.last_second.swap(second, Relaxed) == second {
            self.unsaid.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.unsaid.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_line_a_second_counts_what_was_not_said() {
        let start = Instant::now();
        let log = RefusalLog::new(start);
        let at = |millis| log.turn(start + Duration::from_millis(millis));
        assert_eq!([at(0), at(10), at(990)], [Some(0), None, None]);
        assert_eq!([at(1000), at(1001), at(5000)], [Some(2), None, Some(1)]);
    }
}
