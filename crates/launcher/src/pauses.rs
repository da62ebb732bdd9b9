//! The pauses between two attempts to reach the control plane: they double up to ten seconds, and each is drawn from the
//! upper half of its range, so that the proxies of a data centre that lost its control plane do not come back as one.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
/// Ten seconds, as Envoy's own reconnects to the control plane: a longer pause would be an outage of our making.
const LONGEST: Duration = Duration::from_secs(10);

/// An endless supply of pauses.
#[derive(Debug)]
pub(crate) struct Pauses {
    range: Duration,
}

/// One pause, and whether its range is longer than the one before: only then is there something new to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) length: Duration,
    pub(crate) has_grown: bool,
}

impl Pauses {
    pub(crate) fn new() -> Self {
        Self { range: Duration::ZERO }
    }

    /// The next pause. `fraction` is a random number in `0.0..1.0`.
    pub(crate) fn next(&mut self, fraction: f64) -> Pause {
        let before = self.range;
        self.range = if before.is_zero() { FIRST } else { LONGEST.min(before * 2) };
        Pause { length: self.range.mul_f64(0.5 + fraction / 2.0), has_grown: self.range > before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_seconds_and_say_when_they_grew() {
        let mut pauses = Pauses::new();
        let seen: Vec<_> = (0..8)
            .map(|_| {
                let pause = pauses.next(1.0);
                (pause.length.as_millis(), pause.has_grown)
            })
            .collect();
        let expected = [
            (500, true),
            (1_000, true),
            (2_000, true),
            (4_000, true),
            (8_000, true),
            (10_000, true),
            (10_000, false),
            (10_000, false),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_pause_is_drawn_from_the_upper_half_of_its_range() {
        assert_eq!(Pauses::new().next(0.0).length, Duration::from_millis(250));
        assert_eq!(Pauses::new().next(0.5).length, Duration::from_millis(375));
    }
}
