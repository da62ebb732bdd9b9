//! What the demo claims, so that `--check` can hold it to its word.

use anyhow::bail;

#[derive(Debug, Default)]
pub(crate) struct Claims {
    made: usize,
    broken: Vec<String>,
}

impl Claims {
    /// `claim` is a sentence that is true when `holds`.
    pub(crate) fn check(&mut self, claim: &str, holds: bool) {
        self.made += 1;
        if !holds {
            self.broken.push(claim.to_owned());
        }
    }

    pub(crate) fn verdict(self) -> anyhow::Result<()> {
        if !self.broken.is_empty() {
            bail!("of {} claims these do not hold:\n  * {}", self.made, self.broken.join("\n  * "));
        }
        println!("\nall {} claims hold", self.made);
        Ok(())
    }
}

/// Whether `count` of `total` is what a share of `expected` gives, within six standard deviations: a false alarm is one in
/// five hundred million.
pub(crate) fn within_six_sigma(count: usize, total: usize, expected: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand connections")]
    let (count, total) = (count as f64, total as f64);
    (count - total * expected).abs() <= 6.0 * (total * expected * (1.0 - expected)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_sigma_of_two_thousand_at_ten_percent_is_eighty() {
        assert!(within_six_sigma(200, 2_000, 0.1) && within_six_sigma(280, 2_000, 0.1));
        assert!(!within_six_sigma(281, 2_000, 0.1));
        assert!(within_six_sigma(2_000, 2_000, 1.0) && !within_six_sigma(1_999, 2_000, 1.0));
    }
}
