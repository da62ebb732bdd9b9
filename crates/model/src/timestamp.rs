//! google.protobuf.Timestamp in proto3 JSON: RFC 3339 in UTC with 0, 3, 6 or 9 fractional digits.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Seconds and nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    pub seconds: i64,
    /// 0..1_000_000_000.
    pub nanos: u32,
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => Self {
                seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
                nanos: since.subsec_nanos(),
            },
            Err(_) => Self::default(), // A clock before 1970 is wrong anyway.
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampError;

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a time such as 2019-10-24T14:04:56.820350Z (RFC 3339)")
    }
}

impl std::error::Error for TimestampError {}

/// In UTC, with as many fractional digits as carry the nanoseconds: 0, 3, 6 or 9.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.seconds.div_euclid(SECONDS_PER_DAY));
        let second_of_day = self.seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match self.nanos {
            0 => {}
            nanos if nanos % 1_000_000 == 0 => write!(f, ".{:03}", nanos / 1_000_000)?,
            nanos if nanos % 1_000 == 0 => write!(f, ".{:06}", nanos / 1_000)?,
            nanos => write!(f, ".{nanos:09}")?,
        }
        f.write_str("Z")
    }
}

/// RFC 3339 with any offset and at most nine fractional digits. A leap second has no place in proto3 and is refused, and
/// so is what lies outside the years 1 to 9999 in UTC.
impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse(text).ok_or(TimestampError)
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date_and_time, rest) = text.split_at_checked("2019-10-24T14:04:56".len())?;
    let (seconds, (nanos, offset)) = (parse_date_and_time(date_and_time)?, parse_fraction(rest)?);
    let seconds = seconds - parse_offset(offset)?;
    (FIRST_SECOND..=LAST_SECOND).contains(&seconds).then_some(Timestamp { seconds, nanos })
}

/// `2019-10-24T14:04:56` as seconds since 1970.
fn parse_date_and_time(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't'])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let days_are_real =
        year >= 1 && (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    let time_is_real = hour < 24 && minute < 60 && second < 60;
    (days_are_real && time_is_real)
        .then(|| days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second)
}

/// Splits `.820350Z` into its nanoseconds and the offset.
fn parse_fraction(text: &str) -> Option<(u32, &str)> {
    let Some(fraction) = text.strip_prefix('.') else { return Some((0, text)) };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, offset) = fraction.split_at(digits);
    let nanos =
        if (1..=9).contains(&digits) { format!("{fraction:0<9}").parse().ok()? } else { return None };
    Some((nanos, offset))
}

/// `Z` or `+hh:mm`, in seconds.
fn parse_offset(text: &str) -> Option<i64> {
    let (sign, offset) = match text.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(0),
        ("+", offset) => (1, offset),
        ("-", offset) => (-1, offset),
        _ => return None,
    };
    let [hours, minutes] = numbers(offset, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Numbers of just these many digits, with the separator between them.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = if is_number { part.parse().ok()? } else { return None };
    }
    parts.next().is_none().then_some(numbers)
}

// === The civil calendar ===
// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". A year that begins in March has its leap day at its
// end, and every era of 400 such years has the same number of days.

const SECONDS_PER_DAY: i64 = 86_400;
const DAYS_PER_ERA: i64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;
/// 0001-01-01T00:00:00Z.
const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970
}

/// Year, month and day.
fn civil_from_days(days_since_1970: i64) -> (i64, i64, i64) {
    let days = days_since_1970 + DAYS_TO_1970;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap_year => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(i64, u32)>) {
        let expected = expected.map(|(seconds, nanos)| Timestamp { seconds, nanos });
        assert_eq!(text.parse().ok(), expected, "{text}");
    }

    #[test]
    fn rfc_3339_is_read_with_any_offset() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", (0, 0)),
            ("1969-12-31T23:59:59.5Z", (-1, 500_000_000)),
            ("2019-10-24T14:04:56.820350Z", (1_571_925_896, 820_350_000)),
            ("2019-10-24t14:04:56.000000001z", (1_571_925_896, 1)),
            ("2019-10-24T16:04:56+02:00", (1_571_925_896, 0)),
            ("2019-10-24T08:34:56-05:30", (1_571_925_896, 0)),
            ("2000-02-29T00:00:00Z", (951_782_400, 0)),
            ("2020-02-29T12:00:00Z", (1_582_977_600, 0)),
            ("2020-03-01T00:00:00Z", (1_583_020_800, 0)),
            ("0001-01-01T00:00:00Z", (FIRST_SECOND, 0)),
            ("9999-12-31T23:59:59.999999999Z", (LAST_SECOND, 999_999_999)),
        ] {
            check(text, Some(expected));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2019-10-24",
            "2019-10-24T14:04:56",
            "2019-10-24 14:04:56Z",
            "2019-10-24T14:04Z",
            "2019-10-24T14:04:56ZZ",
            "2019-10-24T14:04:56.Z",
            "2019-10-24T14:04:56.1234567890Z",
            "2019-10-24T14:04:56,5Z",
            "2019-10-24T14:04:56+0200",
            "2019-10-24T14:04:56+24:00",
            "2019-10-24T14:04:56é",
            "2019-10-24T24:00:00Z",
            "2016-12-31T23:59:60Z",
            "+019-10-24T14:04:56Z",
            "2019-1-024T14:04:56Z",
            "2019-00-24T14:04:56Z",
            "2019-13-24T14:04:56Z",
            "2019-04-31T14:04:56Z",
            "2019-02-29T14:04:56Z",
            "1900-02-29T14:04:56Z",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn as_many_fractional_digits_are_printed_as_carry_the_value() {
        for (nanos, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (500_000_000, "1970-01-01T00:00:00.500Z"),
            (120_000, "1970-01-01T00:00:00.000120Z"),
            (120, "1970-01-01T00:00:00.000000120Z"),
        ] {
            assert_eq!(Timestamp { seconds: 0, nanos }.to_string(), expected);
        }
    }

    #[test]
    fn every_day_is_printed_after_the_one_before_it() {
        let mut expected = (1, 1, 1);
        for days in FIRST_SECOND / SECONDS_PER_DAY..=LAST_SECOND / SECONDS_PER_DAY {
            assert_eq!(civil_from_days(days), expected);
            assert_eq!(days_from_civil(expected.0, expected.1, expected.2), days);
            expected = match expected {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == days_in_month(year, month) => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
        }
        assert_eq!(expected, (10_000, 1, 1));
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_reads_back(seconds in FIRST_SECOND..=LAST_SECOND, nanos in 0..1_000_000_000_u32) {
            let time = Timestamp { seconds, nanos };
            assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
