//! A text as a tree of values, each of which knows where in the text it stands.
//!
//! The place stays with a value wherever an upgrade moves it, so that whatever is found wrong with it later is reported
//! where its author can find it.

use std::{fmt, rc::Rc};

use super::error::{Problem, RawError};

pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Tree,
}

pub(super) enum Tree {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Entries),
}

/// In the order of the text; no key twice.
pub(super) type Entries = Vec<(Rc<str>, Node)>;

impl Node {
    /// What did not stand in the text itself, but comes of what stood at `place`.
    pub(super) fn text(place: &Place, text: impl Into<String>) -> Self {
        Self { place: place.clone(), value: Tree::Text(text.into()) }
    }

    pub(super) fn integer(place: &Place, integer: i128) -> Self {
        Self { place: place.clone(), value: Tree::Integer(integer) }
    }

    pub(super) fn list(place: &Place, items: Vec<Self>) -> Self {
        Self { place: place.clone(), value: Tree::List(items) }
    }

    pub(super) fn map<const N: usize>(place: &Place, entries: [(&str, Self); N]) -> Self {
        let entries = entries.into_iter().map(|(key, node)| (key.into(), node)).collect();
        Self { place: place.clone(), value: Tree::Map(entries) }
    }

    /// One value stands for a list of one, as in Envoy's own configuration files.
    pub(super) fn into_items(self) -> Vec<Self> {
        match self.value {
            Tree::List(items) => items,
            Tree::Null => Vec::new(),
            _ => vec![self],
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Tree::Null)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Tree::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_bool(&self) -> Result<bool, RawError> {
        match self.value {
            Tree::Bool(bool) => Ok(bool),
            _ => Err(self.mismatch("true or false")),
        }
    }

    pub(super) fn into_map(self) -> Result<(Place, Entries), RawError> {
        match self.value {
            Tree::Map(entries) => Ok((self.place, entries)),
            _ => Err(self.mismatch("an object")),
        }
    }

    pub(super) fn mismatch(&self, expected: impl Into<String>) -> RawError {
        let found = match &self.value {
            Tree::Null => "null",
            Tree::Bool(_) => "true or false",
            Tree::Integer(_) | Tree::Float(_) => "a number",
            Tree::Text(_) => "text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "an object",
        };
        let expected = expected.into();
        // A fraction is a number, and no whole one.
        let is_said = expected.contains(found.trim_start_matches("a "));
        let expected = if is_said { expected } else { format!("{expected}, not {found}") };
        self.place.error(Problem::Mismatch(expected))
    }
}

/// Where a value stands in the text.
#[derive(Clone, Default)]
pub(super) struct Place(Option<Rc<Step>>);

struct Step {
    parent: Place,
    segment: Segment,
}

enum Segment {
    Key(Rc<str>),
    Index(usize),
}

impl Place {
    pub(super) fn key(&self, key: Rc<str>) -> Self {
        self.child(Segment::Key(key))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.child(Segment::Index(index))
    }

    fn child(&self, segment: Segment) -> Self {
        Self(Some(Rc::new(Step { parent: self.clone(), segment })))
    }

    /// The name under which the value stands, as its author wrote it.
    pub(super) fn last_key(&self) -> Option<&str> {
        match &self.0.as_deref()?.segment {
            Segment::Key(key) => Some(key),
            Segment::Index(_) => None,
        }
    }

    pub(super) fn error(&self, problem: Problem) -> RawError {
        RawError { path: self.to_string(), problem }
    }

    pub(super) fn rule(&self, rule: impl Into<String>) -> RawError {
        self.error(Problem::Rule(rule.into()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = std::iter::successors(self.0.as_deref(), |step| step.parent.0.as_deref());
        let mut steps: Vec<_> = steps.collect();
        steps.reverse();
        for (depth, step) in steps.iter().enumerate() {
            match &step.segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_plain(key) && depth == 0 => write!(f, "{key}")?,
                Segment::Key(key) if is_plain(key) => write!(f, ".{key}")?,
                Segment::Key(key) => write!(f, "[\"{}\"]", shown(key))?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-@".contains(&byte);
    !key.is_empty() && key.len() <= SHOWN_CHARS && key.bytes().all(plain)
}

/// What somebody wrote, in a message: on one line, and no longer than a line.
pub(super) fn shown(text: &str) -> String {
    let start: String = text.chars().take(SHOWN_CHARS).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{}{more}", start.escape_debug())
}

const SHOWN_CHARS: usize = 100;
