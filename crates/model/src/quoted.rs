//! Text in double quotes as Kuma prints it, which is Go's `%q`: tag keys in field paths and names in messages.

use std::fmt::Write;

/// Escapes quotes, backslashes and what does not print; letters of any script stand as they are.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        push_escaped(&mut out, char);
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, char: char) {
    let escape = match char {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\x07' => "\\a",
        '\x08' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\x0b' => "\\v",
        '\x0c' => "\\f",
        '\r' => "\\r",
        ' '..='~' => return out.push(char),
        _ if prints(char) => return out.push(char),
        _ => return push_code_point(out, u32::from(char)),
    };
    out.push_str(escape);
}

/// Go's `unicode.IsPrint`. Rust's `escape_debug` draws the same line between what prints and what does not, except for a
/// combining mark that nothing stands before.
fn prints(char: char) -> bool {
    format!("x{char}").escape_debug().count() == 2
}

fn push_code_point(out: &mut String, code: u32) {
    let written = match code {
        0..0x80 => write!(out, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    written.expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_as_go_quotes_it() {
        for (text, expected) in [
            ("", r#""""#),
            ("it's é 日 😀", r#""it's é 日 😀""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\x07\x08\t\n\x0b\x0c\r", r#""\a\b\t\n\v\f\r""#),
            ("\0\x1b\x7f", r#""\x00\x1b\x7f""#),
            ("e\u{301}", "\"e\u{301}\""),
            ("\u{a0}\u{200b}\u{e000}\u{2028}", r#""\u00a0\u200b\ue000\u2028""#),
            ("\u{e0001}", r#""\U000e0001""#),
        ] {
            assert_eq!(quoted(text), expected, "{text:?}");
        }
    }
}
