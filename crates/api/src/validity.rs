//! How long something is valid, as Kuma's users write it: `24h`, `1h30m`, `90s`.

use std::time::Duration;

/// What is no such length, said to whoever wrote it.
pub(crate) const EXPECTED: &str =
    "has to be a length of time such as 24h, 1h30m or 90s, and 100 years at most";

const LONGEST_SECONDS: u64 = 100 * 365 * 24 * 3600;

/// Whole numbers, each with `h`, `m` or `s`, as Go reads them; nothing shorter than a second, because a token has none.
/// `None` for anything else, for no time at all, and for more than 100 years.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(unit_at);
        let (unit, tail) = tail.split_at_checked(1)?;
        let unit_seconds = match unit {
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        seconds = number.parse::<u64>().ok()?.checked_mul(unit_seconds)?.checked_add(seconds)?;
        rest = tail;
    }
    (1..=LONGEST_SECONDS).contains(&seconds).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_numbers_with_units() {
        for (text, expected) in [
            ("24h", Some(86_400)),
            ("1h30m", Some(5_400)),
            ("90s", Some(90)),
            ("", None),
            ("0s", None),
            ("24", None),
            ("h", None),
            ("-1h", None),
            ("1.5h", None),
            ("1d", None),
            ("1é", None),
            ("99999999999999999999h", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(parse(text), expected.map(Duration::from_secs), "{text}");
        }
    }
}
