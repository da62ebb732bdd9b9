//! From tree to message, along the descriptors: strictly, and by Envoy's rules.

use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value};

use super::{
    constraints::{Constraints, FieldRules, MessageRules},
    error::{Problem, RawError},
    members::{Field, Member, Members},
    scalars,
    text::Spelling,
    tree::{Entries, Node, Place, Tree},
    types::{self, Form, ResourceType},
    upgrade, well_known,
};

#[derive(Clone, Copy)]
pub(super) struct Decoder {
    spelling: Spelling,
    /// None inside of what is exempt.
    constraints: Option<&'static Constraints>,
}

/// A message that says which one it is, by its `@type`.
struct Typed {
    form: Form,
    place: Place,
    body: Entries,
}

/// What kind of value a text has, and what kind becomes of it.
struct ValueKind {
    old: Option<Kind>,
    new: Kind,
}

impl Decoder {
    pub(super) fn new(spelling: Spelling) -> Self {
        Self { spelling, constraints: Some(Constraints::v3()) }
    }

    pub(super) fn resource(&self, node: Node) -> Result<(&'static ResourceType, DynamicMessage), RawError> {
        let typed = Typed::new(node)?;
        let resource = types::resource(&typed.form.new).map_err(|problem| typed.place.error(problem))?;
        Ok((resource, self.typed(typed)?))
    }

    fn typed(&self, Typed { form, place, body }: Typed) -> Result<DynamicMessage, RawError> {
        if well_known::has_own_form(&form.new) {
            return self.own_form(&form.new, body, &place);
        }
        self.message(Node { place, value: Tree::Map(body) }, &form)
    }

    /// An `Any` has a message with a form of its own under `value`.
    fn own_form(
        &self,
        message: &MessageDescriptor,
        mut body: Entries,
        place: &Place,
    ) -> Result<DynamicMessage, RawError> {
        match body.pop() {
            Some((key, value)) if &*key == "value" && body.is_empty() => {
                self.message(value, &Form { old: None, new: message.clone() })
            }
            _ => Err(place.rule(format!("must have '@type' and 'value' alone, as {}", message.full_name()))),
        }
    }

    fn message(&self, node: Node, form: &Form) -> Result<DynamicMessage, RawError> {
        if form.new.full_name() == "google.protobuf.Any" {
            return self.any(node, &form.new);
        }
        if well_known::has_own_form(&form.new) {
            return well_known::read(&form.new, &node);
        }
        let (place, entries) = node.into_map()?;
        let mut members = Members::new(place.clone(), form.clone(), entries, self.spelling)?;
        upgrade::upgrade(&mut members)?;
        let rules = self.constraints.and_then(|constraints| constraints.of(&form.new));
        let mut message = DynamicMessage::new(form.new.clone());
        let mut oneofs: Vec<(String, String)> = Vec::new();
        for Member { field, node } in members {
            let Some(new) = field.new.clone() else { return Err(upgrade::dropped(&field, &node)) };
            self.claim_oneof(&new, &node, &place, &mut oneofs)?;
            let rules = rules.and_then(|rules| rules.field(new.number()));
            message.set_field(&new, self.field(node, &field, &new, rules)?);
        }
        upgrade::set_versions(&mut message);
        if let Some(rules) = rules {
            self.check_absent(&message, rules, &place)?;
        }
        Ok(message)
    }

    fn any(&self, node: Node, any: &MessageDescriptor) -> Result<DynamicMessage, RawError> {
        let message = self.typed(Typed::new(node)?)?;
        let name = message.descriptor().full_name().to_owned();
        let mut packed = DynamicMessage::new(any.clone());
        packed.set_field_by_name("type_url", Value::String(format!("{}{name}", types::PREFIX)));
        packed.set_field_by_name("value", Value::Bytes(message.encode_to_vec().into()));
        Ok(packed)
    }

    fn field(
        &self,
        node: Node,
        field: &Field,
        new: &FieldDescriptor,
        rules: Option<&FieldRules>,
    ) -> Result<Value, RawError> {
        let exempt = Self { constraints: None, ..*self };
        let decoder = if rules.is_some_and(FieldRules::skips_inside) { &exempt } else { self };
        let kind = ValueKind { old: field.old.as_ref().map(FieldDescriptor::kind), new: new.kind() };
        let place = node.place.clone();
        let value = if new.is_map() {
            decoder.map(node, &kind, rules)?
        } else if new.is_list() {
            let items = rules.and_then(FieldRules::items);
            let values = node.into_items().into_iter().map(|node| decoder.single(node, &kind, items));
            Value::List(values.collect::<Result<_, _>>()?)
        } else {
            return decoder.single(node, &kind, rules);
        };
        check(&value, &kind.new, rules, &place)?;
        Ok(value)
    }

    fn map(&self, node: Node, kind: &ValueKind, rules: Option<&FieldRules>) -> Result<Value, RawError> {
        let Kind::Message(entry) = &kind.new else { return Err(node.mismatch("an object")) };
        let old = match &kind.old {
            Some(Kind::Message(old)) if old.is_map_entry() => Some(old.map_entry_value_field().kind()),
            _ => None,
        };
        let (key_kind, value_kind) = (
            entry.map_entry_key_field().kind(),
            ValueKind { old, new: entry.map_entry_value_field().kind() },
        );
        let (key_rules, value_rules) = rules.and_then(FieldRules::entries).unzip();
        let (_, entries) = node.into_map()?;
        let entries = entries.into_iter().map(|(key, node)| {
            let key = scalars::key(&key_kind, &key, &node)?;
            if let Some(Err(rule)) = key_rules.map(|rules| rules.check_key(&key)) {
                return Err(node.place.rule(format!("its name {rule}")));
            }
            Ok((key, self.single(node, &value_kind, value_rules)?))
        });
        Ok(Value::Map(entries.collect::<Result<_, _>>()?))
    }

    fn single(&self, node: Node, kind: &ValueKind, rules: Option<&FieldRules>) -> Result<Value, RawError> {
        let place = node.place.clone();
        let value = match &kind.new {
            Kind::Message(new) => {
                let old = match &kind.old {
                    Some(Kind::Message(old)) => Some(old.clone()),
                    _ => None,
                };
                Value::Message(self.message(node, &Form { old, new: new.clone() })?)
            }
            Kind::Enum(new) => Value::EnumNumber(match &kind.old {
                Some(Kind::Enum(old)) => upgrade::enum_number(old, new, &node)?,
                _ => scalars::enum_number(new, &node)?,
            }),
            new => scalars::read(new, &node)?,
        };
        check(&value, &kind.new, rules, &place)?;
        Ok(value)
    }

    fn claim_oneof(
        &self,
        field: &FieldDescriptor,
        node: &Node,
        place: &Place,
        claimed: &mut Vec<(String, String)>,
    ) -> Result<(), RawError> {
        let Some(oneof) = field.containing_oneof() else { return Ok(()) };
        let key = node.place.last_key().unwrap_or_else(|| self.spelling.of(field)).to_owned();
        if let Some((_, first)) = claimed.iter().find(|(name, _)| name == oneof.name()) {
            return Err(place.error(Problem::OnlyOneOf(first.clone(), key)));
        }
        claimed.push((oneof.name().to_owned(), key));
        Ok(())
    }

    /// What must be given and is not, and what is not given and whose default breaks a rule.
    fn check_absent(
        &self,
        message: &DynamicMessage,
        rules: &MessageRules,
        place: &Place,
    ) -> Result<(), RawError> {
        let descriptor = message.descriptor();
        for (number, rules) in rules.fields() {
            let Some(field) = descriptor.get_field(number).filter(|field| !message.has_field(field)) else {
                continue;
            };
            let missing = if !field.supports_presence() {
                rules.check(&field.default_value(), &field.kind())
            } else if field.containing_oneof().is_none() {
                rules.check_absent()
            } else {
                Ok(())
            };
            missing.map_err(|rule| place.key(self.spelling.of(&field).into()).rule(rule))?;
        }
        for oneof in rules.required_oneofs() {
            let fields: Vec<_> = oneof.iter().filter_map(|name| descriptor.get_field_by_name(name)).collect();
            if !fields.iter().any(|field| message.has_field(field)) {
                let names: Vec<_> = fields.iter().map(|field| self.spelling.of(field)).collect();
                return Err(place.rule(format!("must have one of '{}'", names.join("', '"))));
            }
        }
        Ok(())
    }
}

impl Typed {
    fn new(node: Node) -> Result<Self, RawError> {
        let Tree::Map(entries) = node.value else {
            return Err(node.place.error(Problem::Mismatch(TYPED.to_owned())));
        };
        let place = node.place;
        let mut type_url = None;
        let mut body = Entries::with_capacity(entries.len());
        for (key, node) in entries {
            if &*key == "@type" { type_url = Some(node) } else { body.push((key, node)) }
        }
        let type_url = type_url.ok_or_else(|| place.error(Problem::NoType))?;
        let url = type_url.as_text().ok_or_else(|| type_url.mismatch("text"))?;
        let form = types::named(url).map_err(|problem| type_url.place.error(problem))?;
        Ok(Self { form, place, body })
    }
}

const TYPED: &str = "an object with an '@type', which says which of Envoy's messages it is";

fn check(value: &Value, kind: &Kind, rules: Option<&FieldRules>, place: &Place) -> Result<(), RawError> {
    rules.map_or(Ok(()), |rules| rules.check(value, kind)).map_err(|rule| place.rule(rule))
}
