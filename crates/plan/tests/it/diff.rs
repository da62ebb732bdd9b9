//! Two texts, line by line, as `diff -u` shows them but without line numbers.

/// Equal lines shown around each difference.
const CONTEXT: usize = 3;

#[derive(Clone, Copy, PartialEq)]
enum Line<'a> {
    Both(&'a str),
    Expected(&'a str),
    Actual(&'a str),
}

pub(crate) fn diff(expected: &str, actual: &str) -> String {
    let lines = lines(&expected.lines().collect::<Vec<_>>(), &actual.lines().collect::<Vec<_>>());
    let differs = |line: &Line<'_>| !matches!(line, Line::Both(_));
    let mut shown = String::new();
    let mut skipping = false;
    for (i, line) in lines.iter().enumerate() {
        let near = &lines[i.saturating_sub(CONTEXT)..lines.len().min(i + CONTEXT + 1)];
        if !near.iter().any(differs) {
            skipping = true;
            continue;
        }
        if skipping {
            shown.push_str("...\n");
            skipping = false;
        }
        let (sign, text) = match line {
            Line::Both(text) => (' ', text),
            Line::Expected(text) => ('-', text),
            Line::Actual(text) => ('+', text),
        };
        shown.extend([sign.to_string().as_str(), text, "\n"]);
    }
    shown
}

/// By the longest common subsequence, which takes time and room in the product of the lengths: cases are short.
fn lines<'a>(expected: &[&'a str], actual: &[&'a str]) -> Vec<Line<'a>> {
    let mut common = vec![vec![0_usize; actual.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..actual.len()).rev() {
            common[i][j] = if expected[i] == actual[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < expected.len() || j < actual.len() {
        if i < expected.len() && j < actual.len() && expected[i] == actual[j] {
            lines.push(Line::Both(expected[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == actual.len() || (i < expected.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(Line::Expected(expected[i]));
            i += 1;
        } else {
            lines.push(Line::Actual(actual[j]));
            j += 1;
        }
    }
    lines
}

#[test]
fn what_differs_is_shown_with_a_little_around_it() {
    let expected = "a\nb\nc\nd\ne\nf\ng\n";
    assert_eq!(diff(expected, "a\nb\nc\nd\ne\nX\ng\n"), "...\n c\n d\n e\n-f\n+X\n g\n");
    assert_eq!(diff(expected, expected), "");
}
