//! What the value of a field must be.

use std::collections::BTreeSet;

use prost_reflect::{Kind, MapKey, Value};

use super::{
    bounds::{Bounds, show_duration},
    texts::TextRules,
};

/// The rules of a field, of the items of a list, or of the keys or values of a map.
#[derive(Default)]
pub(in crate::raw) struct FieldRules {
    pub(super) presence: Presence,
    /// Whether what is inside of the message is held to its own rules.
    pub(super) inside: Inside,
    pub(super) value: Option<ValueRules>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Presence {
    #[default]
    Optional,
    Required,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Inside {
    #[default]
    Ruled,
    Skipped,
}

pub(super) enum ValueRules {
    Integer(Bounds<i128>, Zero),
    Float(Bounds<f64>, Zero),
    /// In nanoseconds.
    Duration(Bounds<i128>),
    Bool(bool),
    Text(Box<TextRules>),
    Bytes(Size),
    Enum(EnumRules),
    List(ListRules),
    Map(MapRules),
}

/// Whether a zero is held to the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zero {
    Ruled,
    Allowed,
}

#[derive(Default)]
pub(super) struct Size {
    pub(super) min: Option<u64>,
    pub(super) max: Option<u64>,
}

pub(super) struct EnumRules {
    pub(super) values: EnumValues,
    pub(super) none_of: Vec<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EnumValues {
    Any,
    Defined,
}

pub(super) struct ListRules {
    pub(super) size: Size,
    pub(super) items: Box<FieldRules>,
    pub(super) repetition: Repetition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repetition {
    Allowed,
    Forbidden,
}

pub(super) struct MapRules {
    pub(super) size: Size,
    pub(super) keys: Box<FieldRules>,
    pub(super) values: Box<FieldRules>,
}

impl FieldRules {
    /// Of each item of a list.
    pub(in crate::raw) fn items(&self) -> Option<&Self> {
        match &self.value {
            Some(ValueRules::List(rules)) => Some(&rules.items),
            _ => None,
        }
    }

    /// Of each key and of each value of a map.
    pub(in crate::raw) fn entries(&self) -> Option<(&Self, &Self)> {
        match &self.value {
            Some(ValueRules::Map(rules)) => Some((&rules.keys, &rules.values)),
            _ => None,
        }
    }

    /// Whether what is inside of the message that the field has is held to its own rules.
    pub(in crate::raw) fn skips_inside(&self) -> bool {
        self.inside == Inside::Skipped
    }

    /// What the field misses, when it is not given and has no default that could be checked instead.
    pub(in crate::raw) fn check_absent(&self) -> Result<(), String> {
        match self.presence {
            Presence::Optional => Ok(()),
            Presence::Required => Err("is required".to_owned()),
        }
    }

    /// What a value must be, if it is not. For lists and maps this is about their size and repetition; what is in them has
    /// rules of its own.
    pub(in crate::raw) fn check(&self, value: &Value, kind: &Kind) -> Result<(), String> {
        match (&self.value, value) {
            (None, _) => Ok(()),
            // A wrapper, such as UInt32Value, has the rules of what it wraps.
            (Some(ValueRules::Duration(bounds)), Value::Message(_)) => {
                nanoseconds(value).map_or(Ok(()), |value| bounds.check(value, show_duration))
            }
            (Some(rules), Value::Message(wrapper)) => match wrapper.get_field_by_number(1) {
                Some(inner) => rules.check(&inner, kind),
                None => Ok(()),
            },
            (Some(rules), value) => rules.check(value, kind),
        }
    }

    /// [`Self::check`], of a key of a map.
    pub(in crate::raw) fn check_key(&self, key: &MapKey) -> Result<(), String> {
        match (&self.value, key) {
            (Some(ValueRules::Text(rules)), MapKey::String(key)) => rules.check(key),
            _ => Ok(()),
        }
    }
}

impl ValueRules {
    fn check(&self, value: &Value, kind: &Kind) -> Result<(), String> {
        match (self, value) {
            (Self::Integer(bounds, zero), value) => match integer(value) {
                Some(0) if *zero == Zero::Allowed => Ok(()),
                Some(integer) => bounds.check(integer, |integer| integer),
                None => Ok(()),
            },
            (Self::Float(bounds, zero), value) => match float(value) {
                Some(0.0) if *zero == Zero::Allowed => Ok(()),
                Some(float) => bounds.check(float, |float| float),
                None => Ok(()),
            },
            (Self::Bool(only), Value::Bool(value)) if value != only => Err(format!("must be {only}")),
            (Self::Text(rules), Value::String(text)) => rules.check(text),
            (Self::Bytes(size), Value::Bytes(bytes)) => size.check(bytes.len(), "bytes"),
            (Self::Enum(rules), Value::EnumNumber(number)) => rules.check(*number, kind),
            (Self::List(rules), Value::List(items)) => rules.check(items),
            (Self::Map(rules), Value::Map(entries)) => rules.size.check(entries.len(), "entries"),
            _ => Ok(()),
        }
    }
}

impl Size {
    fn check(&self, size: usize, of: &str) -> Result<(), String> {
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        match *self {
            Self { min: Some(1), .. } if size == 0 => Err("must not be empty".to_owned()),
            Self { min: Some(min), .. } if size < min => Err(format!("must have at least {min} {of}")),
            Self { max: Some(max), .. } if size > max => Err(format!("must have at most {max} {of}")),
            _ => Ok(()),
        }
    }
}

impl EnumRules {
    fn check(&self, number: i32, kind: &Kind) -> Result<(), String> {
        let Kind::Enum(descriptor) = kind else { return Ok(()) };
        let name = descriptor.get_value(number).map(|value| value.name().to_owned());
        match name {
            Some(name) if self.none_of.contains(&number) => Err(format!("must not be {name}")),
            None if self.values == EnumValues::Defined => {
                Err(format!("must be a value of {}, which has no {number}", descriptor.full_name()))
            }
            _ => Ok(()),
        }
    }
}

impl ListRules {
    fn check(&self, items: &[Value]) -> Result<(), String> {
        self.size.check(items.len(), "items")?;
        if self.repetition == Repetition::Forbidden {
            let mut seen = BTreeSet::new();
            if !items.iter().filter_map(comparable).all(|item| seen.insert(item)) {
                return Err("must not have an item twice".to_owned());
            }
        }
        Ok(())
    }
}

/// The values that a rule can want to be unique.
fn comparable(value: &Value) -> Option<(i128, &str)> {
    match value {
        Value::String(text) => Some((0, text)),
        value => Some((integer(value)?, "")),
    }
}

fn integer(value: &Value) -> Option<i128> {
    match *value {
        Value::I32(integer) => Some(integer.into()),
        Value::I64(integer) => Some(integer.into()),
        Value::U32(integer) => Some(integer.into()),
        Value::U64(integer) => Some(integer.into()),
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match *value {
        Value::F32(float) => Some(float.into()),
        Value::F64(float) => Some(float),
        _ => None,
    }
}

/// Of a `google.protobuf.Duration`.
fn nanoseconds(value: &Value) -> Option<i128> {
    let message = value.as_message()?;
    let seconds = message.get_field_by_number(1)?.as_i64()?;
    let nanoseconds = message.get_field_by_number(2)?.as_i32()?;
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds))
}
