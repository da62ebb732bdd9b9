//! What a stranger chooses, made fit for a log.

/// Control characters (line breaks, terminal escapes), characters that change the direction of text, and the backslash become
/// Rust's escapes, so that a line stays a line and says what it seems to say. What is longer than `longest` characters is cut,
/// and ends in `…`.
pub(super) fn printable(text: &str, longest: usize) -> String {
    let mut printed = String::with_capacity(text.len().min(longest));
    for (count, character) in text.chars().enumerate() {
        if count == longest {
            printed.push('…');
            break;
        }
        match character {
            '"' | '\'' => printed.push(character),
            _ => printed.extend(character.escape_debug()),
        }
    }
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_a_line_or_reaches_the_terminal() {
        for (text, expected) in [
            ("spiffe://default/web", "spiffe://default/web"),
            ("größe \"x\" 'y'", "größe \"x\" 'y'"),
            ("a\nfile:/tmp/x", "a\\nfile:/tmp/x"),
            ("a\\n", "a\\\\n"),
            ("\u{1b}[31m\u{9b}31m\r\0", "\\u{1b}[31m\\u{9b}31m\\r\\0"),
            ("a\u{202e}b\u{2028}c\u{200b}", "a\\u{202e}b\\u{2028}c\\u{200b}"),
            ("12345678", "12345678"),
            ("123456789", "12345678…"),
        ] {
            let longest = if text.starts_with('1') { 8 } else { 100 };
            assert_eq!(printable(text, longest), expected);
        }
    }
}
