//! Variables in the text that `kumactl apply` is given: Mustache, as Kuma 0.3.0 replaces them.
//!
//! `{{key}}` is escaped for HTML, `{{{key}}}` and `{{&key}}` are not; a key without a value becomes nothing. `{{#key}}…
//! {{/key}}` stays where the key has a value that is not empty, `{{^key}}…{{/key}}` where it has not; `{{! a comment}}`
//! goes. A tag of these three kinds that has a line to itself takes the line with it. A key of several parts, as in
//! `-v server.port=80`, is `{{server.port}}`, and `{{port}}` within `{{#server}}…{{/server}}`.
//!
//! Partials and other delimiters are refused: they would need files and could not come from a command line.

use std::collections::BTreeMap;

/// What a person has to mend, with its line (counted from 1).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub(crate) struct TemplateError {
    line: usize,
    problem: String,
}

/// A part of the text.
#[derive(Debug)]
enum Node<'a> {
    Text(&'a str),
    Value { key: &'a str, escape: Escape },
    Section { key: &'a str, shown: Shown, nodes: Vec<Node<'a>> },
}

#[derive(Clone, Copy, Debug)]
enum Escape {
    Html,
    Nothing,
}

#[derive(Clone, Copy, Debug)]
enum Shown {
    WithValue,
    WithoutValue,
}

pub(crate) fn render<'a>(
    text: &str,
    values: impl Iterator<Item = &'a (String, String)>,
) -> Result<String, TemplateError> {
    let values: Values = values.map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let mut rendered = String::with_capacity(text.len());
    write(&parse(text)?, &values, &mut Vec::new(), &mut rendered);
    Ok(rendered)
}

type Values<'a> = BTreeMap<&'a str, &'a str>;

fn write<'a>(nodes: &[Node<'a>], values: &Values, within: &mut Vec<&'a str>, to: &mut String) {
    for node in nodes {
        match node {
            Node::Text(text) => to.push_str(text),
            Node::Value { key, escape: Escape::Html } => push_escaped(to, value(key, values, within)),
            Node::Value { key, escape: Escape::Nothing } => to.push_str(value(key, values, within)),
            Node::Section { key, shown: Shown::WithValue, nodes } if has_value(key, values, within) => {
                within.push(key);
                write(nodes, values, within, to);
                within.pop();
            }
            Node::Section { key, shown: Shown::WithoutValue, nodes } if !has_value(key, values, within) => {
                write(nodes, values, within, to);
            }
            Node::Section { .. } => {}
        }
    }
}

/// Of the innermost section that knows the key.
fn value<'a>(key: &str, values: &Values<'a>, within: &[&str]) -> &'a str {
    paths(key, within).find_map(|path| values.get(path.as_str()).copied()).unwrap_or_default()
}

/// A key has a value of its own, or begins the keys of others.
fn has_value(key: &str, values: &Values, within: &[&str]) -> bool {
    let begins = |path: &str, key: &str| key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    paths(key, within).any(|path| {
        values.iter().any(|(key, value)| (*key == path && !value.is_empty()) || begins(&path, key))
    })
}

/// `key` as seen from the innermost section, then from the one around it, last from outside.
fn paths(key: &str, within: &[&str]) -> impl Iterator<Item = String> {
    (0..=within.len()).rev().map(move |depth| {
        let parts: Vec<&str> = within[..depth].iter().copied().chain([key]).collect();
        parts.join(".")
    })
}

/// As Go's `text/template` does.
fn push_escaped(to: &mut String, value: &str) {
    for char in value.chars() {
        match char {
            '"' => to.push_str("&#34;"),
            '\'' => to.push_str("&#39;"),
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            other => to.push(other),
        }
    }
}

const OPEN: &str = "{{";

/// Sections within sections. Enough for any file, and shallow enough that no stack suffers.
const DEPTH_MAX: usize = 64;

/// A section that is still open, where it was opened, and what stood before it.
struct Open<'a> {
    key: &'a str,
    shown: Shown,
    start: usize,
    before: Vec<Node<'a>>,
}

fn parse(text: &str) -> Result<Vec<Node<'_>>, TemplateError> {
    let fail = |at: usize, problem: String| {
        let problem = model::one_line(&problem).into_owned();
        Err(TemplateError { line: 1 + text[..at].matches('\n').count(), problem })
    };
    let mut nodes = Vec::new();
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut position = 0;
    while let Some(start) = text[position..].find(OPEN).map(|offset| position + offset) {
        let Some((tag, end)) = tag_at(text, start) else {
            return fail(start, "a tag is not closed".to_owned());
        };
        let (before, after) = around(text, &tag, position, start, end);
        nodes.push(Node::Text(before));
        position = after;
        match tag {
            Tag::Value(key, escape) => nodes.push(Node::Value { key, escape }),
            Tag::Comment => {}
            Tag::Begin(..) if open.len() == DEPTH_MAX => {
                return fail(start, format!("more than {DEPTH_MAX} sections within each other"));
            }
            Tag::Begin(key, shown) => {
                open.push(Open { key, shown, start, before: std::mem::take(&mut nodes) });
            }
            Tag::End(key) => match open.pop() {
                Some(section) if section.key == key => {
                    let section_nodes = std::mem::replace(&mut nodes, section.before);
                    nodes.push(Node::Section { key, shown: section.shown, nodes: section_nodes });
                }
                _ => return fail(start, format!("{{{{/{key}}}}} closes no section")),
            },
            Tag::Unsupported(tag) => {
                let why = "partials and delimiters cannot be used";
                return fail(start, format!("{{{{{tag}}}}} is not supported: {why}"));
            }
        }
    }
    if let Some(Open { key, start, .. }) = open.pop() {
        return fail(start, format!("{{{{#{key}}}}} is not closed by {{{{/{key}}}}}"));
    }
    nodes.push(Node::Text(&text[position..]));
    Ok(nodes)
}

#[derive(Debug)]
enum Tag<'a> {
    Value(&'a str, Escape),
    Comment,
    Begin(&'a str, Shown),
    End(&'a str),
    Unsupported(&'a str),
}

/// The tag that begins at `start` and where it ends; `None` if it does not.
fn tag_at(text: &str, start: usize) -> Option<(Tag<'_>, usize)> {
    let inside = start + OPEN.len();
    let rest = &text[inside..];
    if let Some(raw) = rest.strip_prefix('{') {
        let length = raw.find("}}}")?;
        return Some((Tag::Value(raw[..length].trim(), Escape::Nothing), inside + 1 + length + 3));
    }
    let length = rest.find("}}")?;
    let content = rest[..length].trim();
    let key = content.get(1..).unwrap_or_default().trim();
    let tag = match content.as_bytes().first() {
        Some(b'!') => Tag::Comment,
        Some(b'&') => Tag::Value(key, Escape::Nothing),
        Some(b'#') => Tag::Begin(key, Shown::WithValue),
        Some(b'^') => Tag::Begin(key, Shown::WithoutValue),
        Some(b'/') => Tag::End(key),
        Some(b'>' | b'=') => Tag::Unsupported(content),
        _ => Tag::Value(content, Escape::Html),
    };
    Some((tag, inside + length + 2))
}

/// The text between `position` and the tag, and where the text after the tag begins. A tag that puts nothing in its
/// place takes its line with it, if it has the line to itself.
fn around<'a>(text: &'a str, tag: &Tag<'_>, position: usize, start: usize, end: usize) -> (&'a str, usize) {
    let as_it_is = (&text[position..start], end);
    if matches!(tag, Tag::Value(..)) {
        return as_it_is;
    }
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let is_blank = |text: &str| text.chars().all(|char| matches!(char, ' ' | '\t' | '\r'));
    let line_end = text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1);
    if line_start < position
        || !is_blank(&text[line_start..start])
        || !is_blank(text[end..line_end].trim_end_matches('\n'))
    {
        return as_it_is;
    }
    (&text[position..line_start], line_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, values: &[(&str, &str)]) -> Result<String, String> {
        let values: Vec<_> =
            values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        render(text, values.iter()).map_err(|error| error.to_string())
    }

    fn check(text: &str, values: &[(&str, &str)], expected: &str) {
        assert_eq!(rendered(text, values).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn a_key_is_replaced_by_its_value() {
        check("name: {{name}}", &[("name", "web")], "name: web");
        check("name: {{ name }}{{other}}.", &[("name", "web")], "name: web.");
        check("{{a}}{{b}}", &[("a", "{{b}}"), ("b", "2")], "{{b}}2");
        check("port: {{server.port}}", &[("server.port", "80")], "port: 80");
    }

    #[test]
    fn two_braces_escape_for_html_and_three_do_not() {
        let values = [("k", "<a b=\"c\" d='e'> & f")];
        check("{{k}}", &values, "&lt;a b=&#34;c&#34; d=&#39;e&#39;&gt; &amp; f");
        check("{{{k}}}", &values, values[0].1);
        check("{{{ k }}} {{& k}}", &values, &format!("{0} {0}", values[0].1));
    }

    #[test]
    fn a_text_without_tags_stays_as_it_is() {
        for text in ["", "a: {b: {c: {}}}\n", "{\"a\": {\"b\": {}}}", "a }} b {c}\r\n"] {
            check(text, &[("b", "1")], text);
        }
    }

    #[test]
    fn a_section_stays_with_a_value_and_its_opposite_without() {
        let text = "{{#on}}yes {{on}}{{/on}}{{^on}}no{{/on}}";
        check(text, &[("on", "1")], "yes 1");
        check(text, &[("on", "")], "no");
        check(text, &[], "no");
    }

    #[test]
    fn within_a_section_its_keys_come_first() {
        let values = [("server.port", "80"), ("port", "1"), ("mesh", "demo")];
        check("{{#server}}{{port}} {{mesh}}{{/server}} {{port}}", &values, "80 demo 1");
    }

    #[test]
    fn a_tag_with_a_line_to_itself_takes_the_line_with_it() {
        let text = "a: 1\n  {{! a comment }}\n{{#on}}\r\nb: 2\n{{/on}}\nc: 3 {{! another }}\n{{#on}}{{/on}}";
        check(text, &[("on", "1")], "a: 1\nb: 2\nc: 3 \n");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, expected) in [
            ("a\n{{b", "line 2: a tag is not closed"),
            ("{{{b}}", "line 1: a tag is not closed"),
            ("a\n\n{{#b}}c", "line 3: {{#b}} is not closed by {{/b}}"),
            ("{{/b}}", "line 1: {{/b}} closes no section"),
            ("{{#a}}\n{{/b}}", "line 2: {{/b}} closes no section"),
            ("{{> file}}", "line 1: {{> file}} is not supported: partials and delimiters cannot be used"),
        ] {
            assert_eq!(rendered(text, &[]), Err(expected.to_owned()), "{text}");
        }
        let deep = rendered(&"{{#a}}".repeat(100_000), &[]).unwrap_err();
        assert_eq!(deep, "line 1: more than 64 sections within each other");
    }
}
