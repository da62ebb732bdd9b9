//! What is said of many measured values.

use std::time::Duration;

/// The median of sorted values; of two in the middle the lower one.
pub(crate) fn middle<T: Copy + Default>(sorted: &[T]) -> T {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

pub(crate) fn last<T: Copy + Default>(sorted: &[T]) -> T {
    sorted.last().copied().unwrap_or_default()
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The value that so many percent of the sorted ones do not exceed.
pub(crate) fn quantile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// A value that was measured several times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) middle: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// `None` of no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Some(Self { least: *sorted.first()?, middle: middle(&sorted), most: last(&sorted) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_few_values() {
        let check = |sorted: &[u64], expected: u64| assert_eq!(middle(sorted), expected, "{sorted:?}");
        check(&[], 0);
        check(&[1], 1);
        check(&[1, 2], 1);
        check(&[1, 2, 3], 2);
        check(&[1, 2, 3, 4], 2);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let hundred: Vec<u64> = (1..=100).collect();
        for (sorted, percent, expected) in [
            (&hundred[..], 50, Some(50)),
            (&hundred, 99, Some(99)),
            (&hundred, 100, Some(100)),
            (&hundred[..1], 99, Some(1)),
            (&[], 50, None),
        ] {
            assert_eq!(quantile(sorted, percent), expected, "{percent} % of {}", sorted.len());
        }
    }

    #[test]
    fn a_spread_is_of_values_in_any_order() {
        let spread = Spread { least: 1.0, middle: 2.0, most: 9.0 };
        assert_eq!(Spread::of([9.0, 1.0, 2.0]), Some(spread));
        assert_eq!(Spread::of([]), None);
    }
}
