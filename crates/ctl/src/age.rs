//! How long ago something was, in the words of Kuma 0.3.0's tables.

use model::Timestamp;

/// `0s`, `2m3s`, `25h0m1s` (there are no days), or `never`. A time that is still to come, by another machine's clock,
/// is `0s` ago.
pub(crate) fn ago(then: Option<Timestamp>, now: Timestamp) -> String {
    let Some(then) = then else { return "never".to_owned() };
    // Whole seconds: 1.9 s ago is a second ago.
    let borrowed = i64::from(now.nanos < then.nanos);
    let seconds = now.seconds.saturating_sub(then.seconds).saturating_sub(borrowed).max(0);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_hours_minutes_and_seconds() {
        let at = |seconds, nanos| Timestamp { seconds, nanos };
        let now = at(1_000_000_000, 500_000_000);
        for (then, expected) in [
            (None, "never"),
            (Some(now), "0s"),
            (Some(at(999_999_999, 600_000_000)), "0s"),
            (Some(at(999_999_999, 400_000_000)), "1s"),
            (Some(at(999_999_877, 0)), "2m3s"),
            (Some(at(1_000_000_000 - 3_600, 0)), "1h0m0s"),
            (Some(at(1_000_000_000 - 90_001, 0)), "25h0m1s"),
            (Some(at(1_000_000_007, 0)), "0s"),
            (Some(at(i64::MIN, 0)), "2562047788015215h30m7s"),
        ] {
            assert_eq!(ago(then, now), expected, "{then:?}");
        }
    }
}
