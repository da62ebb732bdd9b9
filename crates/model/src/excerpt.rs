//! What somebody wrote, as an error repeats it: a line that a person can read, however long and strange the original is.

use std::borrow::Cow;

/// More of a sentence than a person reads, at its beginning and at its end.
const HEAD_CHARS: usize = 300;
const TAIL_CHARS: usize = 150;

/// One line of bounded length: control characters are escaped as Rust escapes them, and the middle of what is long then is
/// left out. Its end, where the place often stands, is not.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let is_long = text.chars().nth(HEAD_CHARS + TAIL_CHARS).is_some();
    if !is_long && !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let beginning = escaped(text.chars().take(HEAD_CHARS + TAIL_CHARS));
    if !is_long && beginning.chars().nth(HEAD_CHARS + TAIL_CHARS).is_none() {
        return Cow::Owned(beginning);
    }
    let head: String = beginning.chars().take(HEAD_CHARS).collect();
    let end = escaped(last_chars(text).chars());
    Cow::Owned(format!("{head} … {}", last_chars(&end)))
}

fn last_chars(text: &str) -> &str {
    let start = text.char_indices().rev().nth(TAIL_CHARS - 1);
    start.map_or(text, |(at, _)| &text[at..])
}

fn escaped(chars: impl Iterator<Item = char>) -> String {
    let mut line = String::new();
    for char in chars {
        if char.is_control() { line.extend(char.escape_default()) } else { line.push(char) }
    }
    line
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
            (&"\0".repeat(450), format!("{} … {}", "\\u{0}".repeat(60), "\\u{0}".repeat(30))),
        ] {
            assert_eq!(one_line(text), expected, "{text:?}");
        }
    }
}
