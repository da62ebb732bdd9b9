//! The rules that Envoy's API has for its own messages (protoc-gen-validate), which an Envoy checks before it takes one.
//!
//! They stand in the descriptors, as options of fields, and are compiled into [`FieldRules`] once. A rule that is not
//! understood fails the compilation, not a check: a new version of the API cannot bring one that is silently skipped.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use envoy_types::pb::validate as pb;
use prost::Message;
use prost_reflect::{DescriptorPool, ExtensionDescriptor, MessageDescriptor, Value};

use crate::descriptors;

mod bounds;
mod compile;
mod fields;
mod texts;

pub(super) use fields::FieldRules;

/// The rules of messages that have any, by the full name of the message.
pub(super) struct Constraints(HashMap<String, MessageRules>);

#[derive(Default)]
pub(super) struct MessageRules {
    /// By the number of the field.
    fields: BTreeMap<u32, FieldRules>,
    /// One of the fields of each must be given: their names.
    required_oneofs: Vec<Vec<String>>,
}

impl Constraints {
    pub(super) fn v3() -> &'static Self {
        static CONSTRAINTS: LazyLock<Constraints> = LazyLock::new(|| compiled(descriptors::v3()));
        &CONSTRAINTS
    }

    pub(super) fn v2() -> &'static Self {
        static CONSTRAINTS: LazyLock<Constraints> = LazyLock::new(|| compiled(descriptors::v2()));
        &CONSTRAINTS
    }

    pub(super) fn of(&self, message: &MessageDescriptor) -> Option<&MessageRules> {
        self.0.get(message.full_name())
    }
}

impl MessageRules {
    pub(super) fn field(&self, number: u32) -> Option<&FieldRules> {
        self.fields.get(&number)
    }

    /// In the order of their numbers.
    pub(super) fn fields(&self) -> impl Iterator<Item = (u32, &FieldRules)> {
        self.fields.iter().map(|(number, rules)| (*number, rules))
    }

    pub(super) fn required_oneofs(&self) -> &[Vec<String>] {
        &self.required_oneofs
    }
}

fn compiled(pool: &DescriptorPool) -> Constraints {
    compile(pool).expect("a test compiles the rules of all embedded descriptors")
}

/// The rule that cannot be compiled, and where it stands.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{of}: {rule}")]
struct UnknownRule {
    of: String,
    rule: String,
}

/// The extensions of options that rules stand in.
struct Extensions {
    rules: ExtensionDescriptor,
    required: ExtensionDescriptor,
    disabled: ExtensionDescriptor,
    ignored: ExtensionDescriptor,
}

fn compile(pool: &DescriptorPool) -> Result<Constraints, UnknownRule> {
    let extension = |name: &str| {
        let unknown = || UnknownRule { of: name.to_owned(), rule: "no such option".to_owned() };
        pool.get_extension_by_name(name).ok_or_else(unknown)
    };
    let extensions = Extensions {
        rules: extension("validate.rules")?,
        required: extension("validate.required")?,
        disabled: extension("validate.disabled")?,
        ignored: extension("validate.ignored")?,
    };
    let mut constraints = HashMap::new();
    for message in pool.all_messages() {
        let rules = message_rules(&message, &extensions)?;
        if !(rules.fields.is_empty() && rules.required_oneofs.is_empty()) {
            constraints.insert(message.full_name().to_owned(), rules);
        }
    }
    Ok(Constraints(constraints))
}

fn message_rules(message: &MessageDescriptor, extensions: &Extensions) -> Result<MessageRules, UnknownRule> {
    let mut rules = MessageRules::default();
    let options = message.options();
    let is_set = |extension| options.get_extension(extension).as_bool() == Some(true);
    if is_set(&extensions.disabled) || is_set(&extensions.ignored) {
        return Ok(rules);
    }
    for field in message.fields() {
        let options = field.options();
        let Value::Message(written) = &*options.get_extension(&extensions.rules) else { continue };
        let unknown = |rule: String| UnknownRule { of: field.full_name().to_owned(), rule };
        let written =
            pb::FieldRules::decode(&*written.encode_to_vec()).map_err(|e| unknown(e.to_string()))?;
        if written != pb::FieldRules::default() {
            let compiled = FieldRules::compile(written).map_err(unknown)?;
            rules.fields.insert(field.number(), compiled);
        }
    }
    for oneof in message.oneofs() {
        if oneof.options().get_extension(&extensions.required).as_bool() == Some(true) {
            rules.required_oneofs.push(oneof.fields().map(|field| field.name().to_owned()).collect());
        }
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_in_the_descriptors_is_understood() {
        for (pool, fields, oneofs) in [(descriptors::v3(), 1195, 126), (descriptors::v2(), 409, 61)] {
            let constraints = compile(pool).unwrap();
            let count = |of: fn(&MessageRules) -> usize| constraints.0.values().map(of).sum::<usize>();
            assert_eq!(
                (count(|rules| rules.fields.len()), count(|rules| rules.required_oneofs.len())),
                (fields, oneofs)
            );
        }
    }
}
