//! What a number, or a duration, must lie between.

use std::{
    cmp::Ordering::{self, Equal, Greater, Less},
    fmt::Display,
};

/// Rules for a value with an order. Durations count in nanoseconds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Bounds<T> {
    pub(super) equal_to: Option<T>,
    pub(super) less_than: Option<T>,
    pub(super) at_most: Option<T>,
    pub(super) greater_than: Option<T>,
    pub(super) at_least: Option<T>,
    pub(super) one_of: Vec<T>,
    pub(super) none_of: Vec<T>,
}

impl<T: PartialOrd + Copy> Bounds<T> {
    /// What `value` must be, if it is not. `show` is how its author would write a value.
    pub(super) fn check<S: Display>(&self, value: T, show: impl Fn(T) -> S) -> Result<(), String> {
        let all = |values: &[T]| values.iter().map(|value| show(*value).to_string()).collect::<Vec<_>>();
        // A NaN compares to nothing, and is within no bound.
        let is = |orderings: &[Ordering], bound: &T| {
            value.partial_cmp(bound).is_some_and(|ordering| orderings.contains(&ordering))
        };
        match self {
            Self { equal_to: Some(only), .. } if value != *only => Err(format!("must be {}", show(*only))),
            Self { less_than: Some(bound), .. } if !is(&[Less], bound) => {
                Err(format!("must be less than {}", show(*bound)))
            }
            Self { at_most: Some(bound), .. } if !is(&[Less, Equal], bound) => {
                Err(format!("must be at most {}", show(*bound)))
            }
            Self { greater_than: Some(bound), .. } if !is(&[Greater], bound) => {
                Err(format!("must be greater than {}", show(*bound)))
            }
            Self { at_least: Some(bound), .. } if !is(&[Greater, Equal], bound) => {
                Err(format!("must be at least {}", show(*bound)))
            }
            Self { one_of, .. } if !one_of.is_empty() && !one_of.contains(&value) => {
                Err(format!("must be one of {}", all(one_of).join(", ")))
            }
            Self { none_of, .. } if none_of.contains(&value) => {
                Err(format!("must be none of {}", all(none_of).join(", ")))
            }
            _ => Ok(()),
        }
    }
}

/// As protobuf's JSON writes it: `0.25s`.
pub(super) fn show_duration(nanoseconds: i128) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let (seconds, fraction) =
        (nanoseconds.unsigned_abs() / 1_000_000_000, nanoseconds.unsigned_abs() % 1_000_000_000);
    let fraction = format!(".{fraction:09}");
    format!("{sign}{seconds}{}s", fraction.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_within_all_bounds_or_the_first_that_it_breaks_is_named() {
        let port = Bounds { at_most: Some(65_535), ..Bounds::default() };
        let share =
            Bounds { greater_than: Some(0), less_than: Some(100), none_of: vec![50], ..Bounds::default() };
        let step = Bounds { at_least: Some(1), one_of: vec![1, 2, 4], ..Bounds::default() };
        let only = Bounds { equal_to: Some(7), ..Bounds::default() };
        for (bounds, value, expected) in [
            (&port, 65_535, Ok(())),
            (&port, 65_536, Err("must be at most 65535")),
            (&share, 1, Ok(())),
            (&share, 0, Err("must be greater than 0")),
            (&share, 100, Err("must be less than 100")),
            (&share, 50, Err("must be none of 50")),
            (&step, 4, Ok(())),
            (&step, 0, Err("must be at least 1")),
            (&step, 3, Err("must be one of 1, 2, 4")),
            (&only, 7, Ok(())),
            (&only, 8, Err("must be 7")),
        ] {
            assert_eq!(bounds.check(value, |value| value), expected.map_err(str::to_owned), "{value}");
        }
        let positive = Bounds { greater_than: Some(0.0), ..Bounds::default() };
        assert!(positive.check(f64::NAN, |value| value).is_err());
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for (nanoseconds, expected) in [
            (0, "0s"),
            (5_000_000_000, "5s"),
            (250_000_000, "0.25s"),
            (-1_500_000_000, "-1.5s"),
            (1, "0.000000001s"),
        ] {
            assert_eq!(show_duration(nanoseconds), expected);
        }
    }
}
