//! Messages of protobuf itself that have a form of their own in JSON.

use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use serde_json::{Map, Number};

use super::{
    error::RawError,
    scalars,
    tree::{Entries, Node, Tree},
};

/// Whether protobuf's JSON has the message in another form than as an object with its fields.
pub(super) fn has_own_form(message: &MessageDescriptor) -> bool {
    message.full_name().strip_prefix("google.protobuf.").is_some_and(|name| {
        WRAPPERS.contains(&name)
            || ["Any", "Duration", "Timestamp", "FieldMask", "Struct", "Value", "ListValue"].contains(&name)
    })
}

const WRAPPERS: [&str; 9] = [
    "DoubleValue",
    "FloatValue",
    "Int64Value",
    "UInt64Value",
    "Int32Value",
    "UInt32Value",
    "BoolValue",
    "StringValue",
    "BytesValue",
];

/// Of all messages that have a form of their own, but not `Any`.
pub(super) fn read(message: &MessageDescriptor, node: &Node) -> Result<DynamicMessage, RawError> {
    match message.name() {
        "Duration" => duration(message, node),
        "Timestamp" => from_json(message, node, "a time such as 2020-01-31T12:00:00Z"),
        "FieldMask" => from_json(message, node, "names of fields, separated by commas"),
        "Struct" => from_json(message, node, "an object"),
        "ListValue" => from_json(message, node, "a list"),
        "Value" => from_json(message, node, "any value"),
        _ => wrapper(message, node),
    }
}

/// With its fields, which Envoy reads beside the form that the message has in protobuf's JSON.
fn with_fields(
    message: &MessageDescriptor,
    node: &Node,
    entries: &Entries,
    expected: &str,
) -> Result<DynamicMessage, RawError> {
    let mut read = DynamicMessage::new(message.clone());
    for (name, value) in entries {
        let field = message.get_field_by_name(name).ok_or_else(|| node.mismatch(expected))?;
        read.set_field(&field, scalars::read(&field.kind(), value)?);
    }
    Ok(read)
}

fn wrapper(message: &MessageDescriptor, node: &Node) -> Result<DynamicMessage, RawError> {
    if let Tree::Map(entries) = &node.value {
        return with_fields(message, node, entries, "a plain value");
    }
    let mut wrapper = DynamicMessage::new(message.clone());
    for field in message.fields() {
        wrapper.set_field(&field, scalars::read(&field.kind(), node)?);
    }
    Ok(wrapper)
}

fn from_json(message: &MessageDescriptor, node: &Node, expected: &str) -> Result<DynamicMessage, RawError> {
    let json = json(node)?;
    DynamicMessage::deserialize(message.clone(), json).map_err(|_| node.mismatch(expected))
}

fn json(node: &Node) -> Result<serde_json::Value, RawError> {
    Ok(match &node.value {
        Tree::Null => serde_json::Value::Null,
        Tree::Bool(bool) => (*bool).into(),
        // Protobuf's JSON knows only one type of number, and it is this one.
        #[expect(clippy::cast_precision_loss, reason = "a float holds the nearest number to the one written")]
        Tree::Integer(integer) => match i64::try_from(*integer) {
            Ok(integer) => integer.into(),
            Err(_) => finite(*integer as f64, node)?,
        },
        Tree::Float(float) => finite(*float, node)?,
        Tree::Text(text) => text.as_str().into(),
        Tree::List(items) => items.iter().map(json).collect::<Result<_, _>>()?,
        Tree::Map(entries) => {
            let entries = entries.iter().map(|(key, node)| Ok((key.to_string(), json(node)?)));
            serde_json::Value::Object(entries.collect::<Result<Map<_, _>, _>>()?)
        }
    })
}

fn finite(float: f64, node: &Node) -> Result<serde_json::Value, RawError> {
    Number::from_f64(float).map(Into::into).ok_or_else(|| node.mismatch("a finite number"))
}

/// Seconds, with up to nine digits of a fraction, and an s.
fn duration(message: &MessageDescriptor, node: &Node) -> Result<DynamicMessage, RawError> {
    const EXPECTED: &str = "a duration such as 5s or 0.25s";
    let parts = match &node.value {
        Tree::Map(entries) => parts_of(&with_fields(message, node, entries, EXPECTED)?),
        _ => node.as_text().and_then(duration_parts),
    };
    let (seconds, nanoseconds) = parts.ok_or_else(|| node.mismatch(EXPECTED))?;
    if seconds.abs() > MAX_SECONDS {
        return Err(node.place.rule(format!("must be at most {MAX_SECONDS}s, which is 10,000 years")));
    }
    let mut duration = DynamicMessage::new(message.clone());
    duration.set_field_by_name("seconds", Value::I64(seconds));
    duration.set_field_by_name("nanos", Value::I32(nanoseconds));
    Ok(duration)
}

const MAX_SECONDS: i64 = 315_576_000_000;

/// Of one that has them as fields; `None` if they are not those of one duration (google/protobuf/duration.proto).
fn parts_of(duration: &DynamicMessage) -> Option<(i64, i32)> {
    let seconds = duration.get_field_by_name("seconds")?.as_i64()?;
    let nanoseconds = duration.get_field_by_name("nanos")?.as_i32()?;
    let have_one_sign = seconds == 0 || nanoseconds == 0 || (seconds < 0) == (nanoseconds < 0);
    (have_one_sign && nanoseconds.abs() < 1_000_000_000).then_some((seconds, nanoseconds))
}

/// Both have the sign of the whole.
fn duration_parts(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let (sign, number) = number.strip_prefix('-').map_or((1, number), |number| (-1, number));
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(seconds) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds: i32 = format!("{fraction:0<9}").parse().ok()?;
    let seconds: i64 = seconds.parse().ok()?;
    Some((i64::from(sign) * seconds, sign * nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_seconds_with_a_fraction() {
        for (text, expected) in [
            ("5s", Some((5, 0))),
            ("0.25s", Some((0, 250_000_000))),
            ("-1.5s", Some((-1, -500_000_000))),
            ("0.000000001s", Some((0, 1))),
            ("0.0000000001s", None),
            ("5", None),
            ("5ms", None),
            ("s", None),
            (".5s", None),
            ("+5s", None),
            ("1e3s", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(duration_parts(text), expected, "{text}");
        }
    }
}
