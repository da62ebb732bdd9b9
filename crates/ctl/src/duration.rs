//! A length of time on the command line, as Kuma's users write it: `5m`, `1h30m`, `90s`.

use std::time::Duration;

/// Nobody sits in front of a terminal for longer.
const LONGEST: Duration = Duration::from_hours(24);

/// Whole numbers, each with `h`, `m` or `s`, as Go reads them; no more than a day in all.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let total = seconds(text).map(Duration::from_secs).filter(|total| *total <= LONGEST);
    total.ok_or_else(|| "must be a length of time such as 5m, 1h30m or 90s, and a day at most".to_owned())
}

fn seconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = Some(text).filter(|text| !text.is_empty())?;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, tail) = tail.split_at_checked(1)?;
        let unit_seconds = match unit {
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        total = number.parse::<u64>().ok()?.checked_mul(unit_seconds)?.checked_add(total)?;
        rest = tail;
    }
    Some(total)
}

/// As it is parsed, in the largest units.
pub(crate) fn print(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let parts: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parsed_is_printed_in_the_largest_units() {
        for (text, expected) in [
            ("5m", Some("5m")),
            ("90s", Some("1m30s")),
            ("1h30m", Some("1h30m")),
            ("3600s", Some("1h")),
            ("0s", Some("0s")),
            ("24h", Some("24h")),
            ("24h1s", None),
            ("", None),
            ("5", None),
            ("m", None),
            ("-5m", None),
            ("1.5m", None),
            ("5d", None),
            ("1é", None),
            ("99999999999999999999h", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(parse(text).ok().map(print).as_deref(), expected, "{text}");
        }
    }
}
