//! What somebody wrote, as an error repeats it: a line that a person can read, however long and strange the original is.

use std::borrow::Cow;

/// More of a sentence than a person reads, at its beginning and at its end.
const HEAD_CHARS: usize = 300;
const TAIL_CHARS: usize = 150;

/// One line of bounded length: control characters are escaped as Rust escapes them, and the middle of a long text is
/// left out. Its end, where the place often stands, is not.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let is_long = text.chars().nth(HEAD_CHARS + TAIL_CHARS).is_some();
    if !is_long && !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    if !is_long {
        return Cow::Owned(text.chars().map(escaped).collect());
    }
    let head = text.chars().take(HEAD_CHARS).map(escaped).collect::<String>();
    let (tail_at, _) = text.char_indices().rev().nth(TAIL_CHARS - 1).unwrap_or_default();
    let tail = text[tail_at..].chars().map(escaped).collect::<String>();
    Cow::Owned(format!("{head} … {tail}"))
}

fn escaped(char: char) -> String {
    if char.is_control() { char.escape_default().to_string() } else { char.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_line_that_keeps_its_ends() {
        for (text, expected) in [
            ("", String::new()),
            ("it's é \"日\" \\", "it's é \"日\" \\".to_owned()),
            ("a\nb\r\t\0\u{1b}[1m\u{85}", r"a\nb\r\t\u{0}\u{1b}[1m\u{85}".to_owned()),
            (&"é".repeat(450), "é".repeat(450)),
            (
                &format!("{}{}", "é".repeat(301), "z".repeat(150)),
                format!("{} … {}", "é".repeat(300), "z".repeat(150)),
            ),
        ] {
            assert_eq!(one_line(text), expected, "{text:?}");
        }
    }
}
