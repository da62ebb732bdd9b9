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
