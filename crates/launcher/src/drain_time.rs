//! `--drain-time`: a duration as Go writes it, because Kuma's users have it in their scripts (`30s`, `1m30s`, `500ms`).

use std::time::Duration;

/// Nobody waits longer for a proxy to empty, and Envoy's flag holds seconds in 32 bits.
const LONGEST: Duration = Duration::from_hours(24);

/// Parses one or more `NUMBER UNIT` with the units h, m, s, ms; or a plain `0`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong = || format!("`{text}` is not a duration such as 30s, 1m30s or 500ms");
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = leading_part(rest).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    match total {
        _ if text.is_empty() => Err(wrong()),
        total if total > LONGEST => Err(format!("`{text}` is longer than a day")),
        total => Ok(total),
    }
}

/// Envoy's `--drain-time-s` has whole seconds; a part of one counts as one, so that a short drain is not none.
pub(crate) fn whole_seconds(drain_time: Duration) -> u64 {
    drain_time.as_secs() + u64::from(drain_time.subsec_nanos() > 0)
}

fn leading_part(text: &str) -> Option<(Duration, &str)> {
    let number_length = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(number_length);
    let unit_length = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_length);
    let seconds = match unit {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 0.001,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Some((Duration::try_from_secs_f64(number * seconds).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("1h0m1s", 3_601_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        for text in ["", "30", "s", "30 s", "-1s", "1d", "1..5s", "30sec", "s30", "99999999999999999999h"] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("30s, 1m30s"), "{text}: {error}");
        }
        assert_eq!(parse("25h"), Err("`25h` is longer than a day".to_owned()));
    }

    #[test]
    fn a_part_of_a_second_counts_as_a_second_for_envoy() {
        for (milliseconds, seconds) in [(0, 0), (1, 1), (500, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(milliseconds)), seconds);
        }
    }
}
