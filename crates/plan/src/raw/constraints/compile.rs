//! From the rules as the descriptors write them to the rules as they are checked.
//!
//! Every message of rules is taken apart by its fields, none left out: a rule that is neither compiled nor refused cannot
//! be written here.

use envoy_types::pb::{
    google::protobuf::Duration,
    validate::{self as pb, KnownRegex, field_rules::Type, string_rules::WellKnown},
};
use regex_automata::dfa::regex::Regex;

use super::{
    bounds::Bounds,
    fields::{
        EnumRules, EnumValues, FieldRules, Inside, ListRules, MapRules, Presence, Repetition, Size,
        ValueRules, Zero,
    },
    texts::{Form, TextRules},
};

/// The rule that is not understood.
type UnknownRule = String;

impl FieldRules {
    pub(super) fn compile(pb::FieldRules { message, r#type }: pb::FieldRules) -> Result<Self, UnknownRule> {
        let pb::MessageRules { skip, required } = message.unwrap_or_default();
        let inside = if skip == Some(true) { Inside::Skipped } else { Inside::Ruled };
        let mut rules = Self { presence: presence(required), inside, value: None };
        rules.value = match r#type {
            None => None,
            Some(Type::Duration(written)) => {
                if written.required == Some(true) {
                    rules.presence = Presence::Required;
                }
                Some(duration(written))
            }
            Some(Type::Any(pb::AnyRules { required, r#in, not_in })) => {
                refuse(!r#in.is_empty() || !not_in.is_empty(), "any.in, any.not_in")?;
                if required == Some(true) {
                    rules.presence = Presence::Required;
                }
                None
            }
            Some(written) => Some(value(written)?),
        };
        Ok(rules)
    }
}

fn presence(required: Option<bool>) -> Presence {
    if required == Some(true) { Presence::Required } else { Presence::Optional }
}

fn refuse(is_written: bool, rule: &str) -> Result<(), UnknownRule> {
    if is_written { Err(rule.to_owned()) } else { Ok(()) }
}

/// The messages of rules for numbers differ in the type of their values alone.
macro_rules! bounds {
    ($message:ident, $written:expr) => {{
        let pb::$message { r#const, lt, lte, gt, gte, r#in, not_in, ignore_empty } = $written;
        let bounds = Bounds {
            equal_to: r#const.map(Into::into),
            less_than: lt.map(Into::into),
            at_most: lte.map(Into::into),
            greater_than: gt.map(Into::into),
            at_least: gte.map(Into::into),
            one_of: r#in.into_iter().map(Into::into).collect(),
            none_of: not_in.into_iter().map(Into::into).collect(),
        };
        (bounds, if ignore_empty == Some(true) { Zero::Allowed } else { Zero::Ruled })
    }};
}

fn value(written: Type) -> Result<ValueRules, UnknownRule> {
    let integer = |(bounds, zero)| Ok(ValueRules::Integer(bounds, zero));
    let float = |(bounds, zero)| Ok(ValueRules::Float(bounds, zero));
    match written {
        Type::Float(written) => float(bounds!(FloatRules, written)),
        Type::Double(written) => float(bounds!(DoubleRules, written)),
        Type::Int32(written) => integer(bounds!(Int32Rules, written)),
        Type::Int64(written) => integer(bounds!(Int64Rules, written)),
        Type::Uint32(written) => integer(bounds!(UInt32Rules, written)),
        Type::Uint64(written) => integer(bounds!(UInt64Rules, written)),
        Type::Sint32(written) => integer(bounds!(SInt32Rules, written)),
        Type::Sint64(written) => integer(bounds!(SInt64Rules, written)),
        Type::Fixed32(written) => integer(bounds!(Fixed32Rules, written)),
        Type::Fixed64(written) => integer(bounds!(Fixed64Rules, written)),
        Type::Sfixed32(written) => integer(bounds!(SFixed32Rules, written)),
        Type::Sfixed64(written) => integer(bounds!(SFixed64Rules, written)),
        Type::Bool(pb::BoolRules { r#const: Some(only) }) => Ok(ValueRules::Bool(only)),
        Type::Bool(_) => Err("bool without a rule".to_owned()),
        Type::String(written) => text(written),
        Type::Bytes(written) => bytes(written),
        Type::Enum(pb::EnumRules { r#const, defined_only, r#in, not_in }) => {
            refuse(r#const.is_some() || !r#in.is_empty(), "enum.const, enum.in")?;
            let values = if defined_only == Some(true) { EnumValues::Defined } else { EnumValues::Any };
            Ok(ValueRules::Enum(EnumRules { values, none_of: not_in }))
        }
        Type::Repeated(written) => list(*written),
        Type::Map(written) => map(*written),
        Type::Duration(written) => Ok(duration(written)),
        Type::Any(_) => Err("any inside of a list or a map".to_owned()),
        Type::Timestamp(_) => Err("timestamp".to_owned()),
    }
}

fn duration(written: pb::DurationRules) -> ValueRules {
    let pb::DurationRules { required: _, r#const, lt, lte, gt, gte, r#in, not_in } = written;
    let nanoseconds =
        |Duration { seconds, nanos }: Duration| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    ValueRules::Duration(Bounds {
        equal_to: r#const.map(nanoseconds),
        less_than: lt.map(nanoseconds),
        at_most: lte.map(nanoseconds),
        greater_than: gt.map(nanoseconds),
        at_least: gte.map(nanoseconds),
        one_of: r#in.into_iter().map(nanoseconds).collect(),
        none_of: not_in.into_iter().map(nanoseconds).collect(),
    })
}

fn text(written: pb::StringRules) -> Result<ValueRules, UnknownRule> {
    let pb::StringRules {
        r#const,
        len,
        min_len,
        max_len,
        len_bytes,
        min_bytes,
        max_bytes,
        pattern,
        prefix,
        suffix,
        contains,
        not_contains,
        r#in,
        not_in,
        strict,
        ignore_empty,
        well_known,
    } = written;
    let form = match well_known {
        None => None,
        Some(WellKnown::WellKnownRegex(regex)) => form(regex, strict)?,
        Some(_) => return Err("string.well_known".to_owned()),
    };
    let pattern = match pattern {
        None => None,
        Some(pattern) => {
            let regex =
                Regex::new(&pattern).map_err(|error| format!("string.pattern = {pattern}: {error}"))?;
            Some((pattern, regex))
        }
    };
    Ok(ValueRules::Text(Box::new(TextRules {
        equal_to: r#const,
        length: len,
        min_length: min_len,
        max_length: max_len,
        bytes: len_bytes,
        min_bytes,
        max_bytes,
        pattern,
        prefix,
        suffix,
        contains,
        lacks: not_contains,
        one_of: r#in,
        none_of: not_in,
        form,
        may_be_empty: ignore_empty == Some(true),
    })))
}

/// Strict is the default.
fn form(regex: i32, strict: Option<bool>) -> Result<Option<Form>, UnknownRule> {
    match (KnownRegex::try_from(regex), strict) {
        (Ok(KnownRegex::Unknown), _) => Ok(None),
        (Ok(_), Some(false)) => Ok(Some(Form::OneLine)),
        (Ok(KnownRegex::HttpHeaderName), _) => Ok(Some(Form::HeaderName)),
        (Ok(KnownRegex::HttpHeaderValue), _) => Ok(Some(Form::HeaderValue)),
        (Err(_), _) => Err(format!("string.well_known_regex = {regex}")),
    }
}

fn bytes(written: pb::BytesRules) -> Result<ValueRules, UnknownRule> {
    let pb::BytesRules {
        r#const,
        len,
        min_len,
        max_len,
        pattern,
        prefix,
        suffix,
        contains,
        r#in,
        not_in,
        ignore_empty,
        well_known,
    } = written;
    let values = [&r#const, &prefix, &suffix, &contains].into_iter().any(Option::is_some);
    let lists = !r#in.is_empty() || !not_in.is_empty();
    let others = len.is_some() || pattern.is_some() || ignore_empty.is_some() || well_known.is_some();
    refuse(values || lists || others, "bytes, other than min_len and max_len")?;
    Ok(ValueRules::Bytes(Size { min: min_len, max: max_len }))
}

fn list(written: pb::RepeatedRules) -> Result<ValueRules, UnknownRule> {
    let pb::RepeatedRules { min_items, max_items, unique, items, ignore_empty } = written;
    refuse(ignore_empty == Some(true), "repeated.ignore_empty")?;
    Ok(ValueRules::List(ListRules {
        size: Size { min: min_items, max: max_items },
        items: Box::new(inner(items)?),
        repetition: if unique == Some(true) { Repetition::Forbidden } else { Repetition::Allowed },
    }))
}

fn map(written: pb::MapRules) -> Result<ValueRules, UnknownRule> {
    let pb::MapRules { min_pairs, max_pairs, no_sparse, keys, values, ignore_empty } = written;
    refuse(no_sparse == Some(true) || ignore_empty == Some(true), "map.no_sparse, map.ignore_empty")?;
    Ok(ValueRules::Map(MapRules {
        size: Size { min: min_pairs, max: max_pairs },
        keys: Box::new(inner(keys)?),
        values: Box::new(inner(values)?),
    }))
}

fn inner(written: Option<Box<pb::FieldRules>>) -> Result<FieldRules, UnknownRule> {
    written.map_or_else(|| Ok(FieldRules::default()), |written| FieldRules::compile(*written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_cannot_be_checked_is_no_rule_that_is_skipped() {
        let timestamp = pb::TimestampRules { lt_now: Some(true), ..Default::default() };
        let email = pb::StringRules { well_known: Some(WellKnown::Email(true)), ..Default::default() };
        let types = pb::AnyRules { r#in: vec!["x".to_owned()], ..Default::default() };
        for (written, rule) in [
            (Type::Timestamp(timestamp), "timestamp"),
            (Type::String(email), "string.well_known"),
            (Type::Any(types), "any.in, any.not_in"),
        ] {
            let written = pb::FieldRules { message: None, r#type: Some(written) };
            assert_eq!(FieldRules::compile(written).err().as_deref(), Some(rule));
        }
    }
}
