//! The fields of one message as a text gives them, found by either of their names.

use std::{collections::HashMap, rc::Rc};

use prost_reflect::{FieldDescriptor, Kind};

use super::{
    error::{Problem, RawError},
    text::Spelling,
    tree::{Entries, Node, Place, Tree, shown},
    types::Form,
};

pub(super) struct Members {
    /// Of the message.
    pub(super) place: Place,
    pub(super) form: Form,
    list: Vec<Member>,
}

pub(super) struct Member {
    pub(super) field: Field,
    pub(super) node: Node,
}

/// At least one of the two is there.
#[derive(Clone)]
pub(super) struct Field {
    /// In v2, if the text is to have the field so.
    pub(super) old: Option<FieldDescriptor>,
    /// In v3, unless it was dropped.
    pub(super) new: Option<FieldDescriptor>,
}

impl Field {
    /// By the name of the proto file, in the form that the text has.
    fn name(&self) -> &str {
        self.old.as_ref().or(self.new.as_ref()).map_or("", FieldDescriptor::name)
    }
}

impl Members {
    /// Every key is a field, and none is given twice. What is null is not given.
    pub(super) fn new(
        place: Place,
        form: Form,
        entries: Entries,
        spelling: Spelling,
    ) -> Result<Self, RawError> {
        let mut first_keys: HashMap<u32, Rc<str>> = HashMap::new();
        let mut members = Self { place, form, list: Vec::with_capacity(entries.len()) };
        for (key, node) in entries {
            let Some(field) = members.find(&key) else { return Err(members.unknown(&key, spelling)) };
            if let Some(first) = first_keys.insert(field.number(), Rc::clone(&key)) {
                return Err(node.place.error(Problem::GivenTwice(first.to_string(), key.to_string())));
            }
            if !node.is_null() || is_value(&field) {
                let field = members.field(field);
                members.list.push(Member { field, node });
            }
        }
        Ok(members)
    }

    fn find(&self, key: &str) -> Option<FieldDescriptor> {
        let written = self.form.written();
        written.get_field_by_name(key).or_else(|| written.get_field_by_json_name(key))
    }

    fn unknown(&self, key: &str, spelling: Spelling) -> RawError {
        let written = self.form.written();
        let fields: Vec<_> = written.fields().collect();
        let nearest = model::nearest(key, fields.iter().map(|field| spelling.of(field)));
        self.place.error(Problem::UnknownField {
            name: shown(key),
            message: written.full_name().to_owned(),
            nearest: nearest.map(str::to_owned),
        })
    }

    fn field(&self, written: FieldDescriptor) -> Field {
        match self.form.old {
            None => Field { old: None, new: Some(written) },
            Some(_) => Field { new: self.form.new.get_field(written.number()), old: Some(written) },
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.list.iter()
    }

    /// By its name in the form that the text has.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.list.iter_mut().find(|member| member.field.name() == name).map(|member| &mut member.node)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|member| member.field.name() == name)?.node.as_text()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.list.iter().any(|member| member.field.name() == name)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.list.iter().position(|member| member.field.name() == name)?;
        Some(self.list.remove(at).node)
    }

    /// As if the text had it, in the form that the text has.
    pub(super) fn put(&mut self, name: &str, node: Node) -> Result<(), RawError> {
        let field = self.form.written().get_field_by_name(name);
        let field = self.field(field.expect("an upgrade puts what is a field of the message"));
        self.push(field, node)
    }

    /// As if the text had it, in the form of v3.
    pub(super) fn put_new(&mut self, name: &str, node: Node) -> Result<(), RawError> {
        let new =
            self.form.new.get_field_by_name(name).expect("an upgrade puts what is a field of the message");
        self.push(Field { old: None, new: Some(new) }, node)
    }

    fn push(&mut self, field: Field, node: Node) -> Result<(), RawError> {
        let number = |field: &Field| field.new.as_ref().map(FieldDescriptor::number);
        if let Some(other) = self.list.iter().find(|member| number(&member.field) == number(&field)) {
            let key = |node: &Node| node.place.last_key().unwrap_or_default().to_owned();
            return Err(self.place.error(Problem::OnlyOneOf(key(&other.node), key(&node))));
        }
        self.list.push(Member { field, node });
        Ok(())
    }
}

impl IntoIterator for Members {
    type Item = Member;
    type IntoIter = std::vec::IntoIter<Member>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl Spelling {
    pub(super) fn of(self, field: &FieldDescriptor) -> &str {
        match self {
            Self::LowerCamel => field.json_name(),
            Self::Snake => field.name(),
        }
    }
}

/// A `google.protobuf.Value` can be null.
fn is_value(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(message) if message.full_name() == "google.protobuf.Value")
        && !field.is_list()
}

impl Node {
    /// An `Any` of a message of this name, with the fields that stand in `self`.
    pub(super) fn into_any(self, message: &str) -> Result<Self, RawError> {
        let (place, mut entries) = self.into_map()?;
        let url = Node::text(&place, format!("{}{message}", super::types::PREFIX));
        entries.retain(|(key, _)| &**key != "@type");
        entries.push(("@type".into(), url));
        Ok(Self { place, value: Tree::Map(entries) })
    }
}
