//! From text to tree: YAML or JSON, one document, within limits.

use std::{cell::Cell, collections::HashSet, fmt, rc::Rc};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{MessageFormatter, UserMessageFormatter};

use super::{
    error::{Problem, RawError},
    tree::{Entries, Node, Place, Tree, shown},
};

/// Objects and lists inside each other: more than twice what any real resource has, and little enough for a thread's
/// stack.
const DEPTH: usize = 64;

/// Aliases may repeat as much as the text has itself, so that the cost is that of its size; in events, and in bytes. A small
/// text may repeat this much in any case.
const REPEATED_MIN: usize = 4096;

pub(super) struct Document {
    pub(super) root: Node,
    pub(super) spelling: Spelling,
}

/// How the text spells the names of fields. Both are legal; what it leaves out is named as the rest of it is.
#[derive(Clone, Copy)]
pub(super) enum Spelling {
    LowerCamel,
    Snake,
}

pub(super) fn read(text: &str) -> Result<Document, RawError> {
    let spelling = Cell::new(Spelling::LowerCamel);
    let seed = || NodeSeed { place: Place::default(), depth: 0, spelling: &spelling };
    // Nearly all JSON is YAML too, except for some of its escapes. What begins as JSON and is none may still be YAML.
    if text.trim_start().starts_with('{')
        && let Ok(root) = json(text, seed())
    {
        return Ok(Document { root, spelling: spelling.get() });
    }
    let root = yaml(text, seed()).map_err(|message| Place::default().error(Problem::Syntax(message)))?;
    Ok(Document { root, spelling: spelling.get() })
}

fn json(text: &str, seed: NodeSeed<'_>) -> Result<Node, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_str(text);
    let node = seed.deserialize(&mut from)?;
    from.end().map(|()| node)
}

fn yaml(text: &str, seed: NodeSeed<'_>) -> Result<Node, String> {
    let repeated = text.len().max(REPEATED_MIN);
    let options = serde_saphyr::options! {
        with_snippet: false,
        leading_zero_numbers_as_strings: true,
        budget: serde_saphyr::budget! {
            max_depth: DEPTH,
            flow_nesting_limit: DEPTH,
            max_total_scalar_bytes: text.len().saturating_add(repeated),
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: repeated },
    };
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |from| seed.deserialize(from))
        .map_err(|error| yaml_error(&error))
}

/// In the words for users, with the place as serde_json says it.
fn yaml_error(error: &serde_saphyr::Error) -> String {
    let place = error.location();
    let error = error.without_snippet();
    let message = UserMessageFormatter.format_message(error);
    match place {
        Some(place) => format!("{message} at line {} column {}", place.line(), place.column()),
        None => message.into_owned(),
    }
}

struct NodeSeed<'a> {
    place: Place,
    depth: usize,
    spelling: &'a Cell<Spelling>,
}

impl<'a> NodeSeed<'a> {
    fn child(&self, place: Place) -> NodeSeed<'a> {
        NodeSeed { place, depth: self.depth + 1, spelling: self.spelling }
    }

    fn node(self, value: Tree) -> Node {
        Node { place: self.place, value }
    }

    fn check_depth<E: Error>(&self) -> Result<(), E> {
        if self.depth < DEPTH {
            return Ok(());
        }
        Err(E::custom(format_args!(
            "objects and lists stand inside each other more than {DEPTH} levels deep"
        )))
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(self.node(Tree::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(self.node(Tree::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(self.node(Tree::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(self.node(Tree::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(self.node(Tree::Integer(value.into())))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(self.node(Tree::Integer(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(self.node(Tree::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(self.node(Tree::Text(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(self.node(Tree::Text(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        self.check_depth()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.child(self.place.index(items.len())))? {
            items.push(item);
        }
        Ok(self.node(Tree::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        self.check_depth()?;
        let mut entries = Entries::new();
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let key: Rc<str> = key.into();
            if !keys.insert(Rc::clone(&key)) {
                return Err(A::Error::custom(format_args!("'{}' is given twice", shown(&key))));
            }
            if key.contains('_') {
                self.spelling.set(Spelling::Snake);
            }
            let value = map.next_value_seed(self.child(self.place.key(Rc::clone(&key))))?;
            entries.push((key, value));
        }
        Ok(self.node(Tree::Map(entries)))
    }
}
