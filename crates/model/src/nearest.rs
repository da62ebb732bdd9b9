//! "Did you mean …?": the known word that is nearest to an unknown one.

/// The candidate that `word` is most likely a slip of, or `None` when none is near: at most one edit for every three
/// characters. An edit adds, drops or replaces a character or swaps two neighbours. Of equals the first wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().collect();
    let limit = (word.len() / 3).max(1);
    candidates
        .into_iter()
        // A difference in length is a distance at least as great, and far cheaper to find.
        .filter(|candidate| candidate.chars().count().abs_diff(word.len()) <= limit)
        .map(|candidate| (distance(&word, &candidate.chars().collect::<Vec<_>>()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment, with the last three rows of its table.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before_last = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut row = last.clone();
    for i in 1..=from.len() {
        row[0] = i;
        for j in 1..=to.len() {
            let replaced = last[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        const WORDS: [&str; 4] = ["apiServer", "apiServers", "store", "über"];
        for (word, expected) in [
            ("apiServer", Some("apiServer")),
            ("apiSevrer", Some("apiServer")),
            ("apiserver", Some("apiServer")),
            ("apiServersx", Some("apiServers")),
            ("stor", Some("store")),
            ("tsore", Some("store")),
            ("uber", Some("über")),
            ("sto", None),
            ("general", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, WORDS), expected, "{word}");
        }
    }

    #[test]
    fn distances_are_counted_in_single_edits() {
        for (from, to, expected) in [
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("abcd", "badc", 2),
            ("ca", "abc", 3),
        ] {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(distance(&chars(from), &chars(to)), expected, "{from} {to}");
        }
    }
}
