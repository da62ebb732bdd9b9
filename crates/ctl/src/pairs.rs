//! `key=value` on the command line, as Kuma 0.3.0 reads it.

use std::str::FromStr;

/// The pairs of one argument: `a=1`, or several as `a=1,b=2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pairs(Vec<(String, String)>);

impl Pairs {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }
}

/// A text with one `=` is one pair, whatever commas its value has. Where a value has commas and `=` both, the commas
/// separate.
impl FromStr for Pairs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = if text.matches('=').count() > 1 { text.split(',').collect() } else { vec![text] };
        parts.into_iter().map(pair).collect::<Result<_, _>>().map(Self)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| format!("{text} must be formatted as key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_split_at_commas_and_the_first_equals_sign() {
        let one = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        for (text, expected) in [
            ("a=1", Ok(vec![one("a", "1")])),
            ("a=", Ok(vec![one("a", "")])),
            ("a=1,b=2", Ok(vec![one("a", "1"), one("b", "2")])),
            ("a=1,2,3", Ok(vec![one("a", "1,2,3")])),
            ("a=x=y", Ok(vec![one("a", "x=y")])),
            ("service", Err("service must be formatted as key=value".to_owned())),
            ("a=1,b,c=2", Err("b must be formatted as key=value".to_owned())),
        ] {
            assert_eq!(text.parse(), expected.map(Pairs), "{text}");
        }
    }
}
