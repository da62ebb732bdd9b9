//! Values that are no messages, as protobuf's JSON has them.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost_reflect::{EnumDescriptor, Kind, MapKey, Value};

use super::{
    error::RawError,
    tree::{Node, Tree, shown},
};

/// A value of a kind that is neither a message nor an enum.
pub(super) fn read(kind: &Kind, node: &Node) -> Result<Value, RawError> {
    match kind {
        Kind::Double => float(node).map(Value::F64),
        Kind::Float => single_float(node).map(Value::F32),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => integer(node, i32::MIN, i32::MAX).map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => integer(node, i64::MIN, i64::MAX).map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => integer(node, u32::MIN, u32::MAX).map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => integer(node, u64::MIN, u64::MAX).map(Value::U64),
        Kind::Bool => node.as_bool().map(Value::Bool),
        Kind::String => match &node.value {
            Tree::Text(text) => Ok(Value::String(text.clone())),
            Tree::Bool(_) | Tree::Integer(_) | Tree::Float(_) => Err(node.mismatch("text, in quotes")),
            _ => Err(node.mismatch("text")),
        },
        Kind::Bytes => {
            let bytes = node.as_text().and_then(base64);
            bytes.map(|bytes| Value::Bytes(bytes.into())).ok_or_else(|| node.mismatch("text in base64"))
        }
        Kind::Message(_) | Kind::Enum(_) => Err(node.mismatch("a plain value")),
    }
}

/// A key of a map, which stands in the text as text whatever its type.
pub(super) fn key(kind: &Kind, key: &str, node: &Node) -> Result<MapKey, RawError> {
    let key = Node { place: node.place.clone(), value: Tree::Text(key.to_owned()) };
    let value = match kind {
        Kind::Bool => match key.as_text() {
            Some("true") => Value::Bool(true),
            Some("false") => Value::Bool(false),
            _ => return Err(key.mismatch("under true or false")),
        },
        kind => read(kind, &key)?,
    };
    value.into_map_key().ok_or_else(|| key.mismatch("under a key of another type"))
}

/// The number of an enum's value, by its name, in whatever case (as Envoy reads it), or by itself.
pub(super) fn enum_number(descriptor: &EnumDescriptor, node: &Node) -> Result<i32, RawError> {
    let number = match &node.value {
        Tree::Integer(number) => i32::try_from(*number).ok(),
        Tree::Text(text) => text.parse().ok(),
        _ => None,
    };
    if let Some(number) = number.filter(|number| descriptor.get_value(*number).is_some()) {
        return Ok(number);
    }
    let by_name = |name: &str| descriptor.values().find(|value| value.name().eq_ignore_ascii_case(name));
    if let Some(value) = node.as_text().and_then(by_name) {
        return Ok(value.number());
    }
    let all: Vec<_> = descriptor.values().collect();
    let names = all.iter().map(prost_reflect::EnumValueDescriptor::name);
    let nearest = node.as_text().and_then(|name| model::nearest(name, names.clone()));
    let expected = match nearest {
        Some(nearest) => format!("a value of {}; did you mean '{nearest}'?", descriptor.full_name()),
        None => format!("one of {}", names.collect::<Vec<_>>().join(", ")),
    };
    let found = node.as_text().map(|name| format!("'{}' is no value: it ", shown(name))).unwrap_or_default();
    Err(node.place.rule(format!("{found}must be {expected}")))
}

/// Whole numbers may be written as text, and with a fraction of zero.
fn integer<T: TryFrom<i128> + Into<i128>>(node: &Node, min: T, max: T) -> Result<T, RawError> {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float stops at the ends of the range")]
    let integer = match &node.value {
        Tree::Integer(integer) => Some(*integer),
        Tree::Float(float) if float.fract() == 0.0 => Some(*float as i128),
        Tree::Text(text) => text.parse().ok(),
        _ => None,
    };
    let Some(integer) = integer else { return Err(node.mismatch("a whole number")) };
    let (min, max) = (min.into(), max.into());
    T::try_from(integer).map_err(|_| {
        let (side, end) = if integer < min { ("least", min) } else { ("most", max) };
        node.place.rule(format!("must be at {side} {end}"))
    })
}

fn float(node: &Node) -> Result<f64, RawError> {
    #[expect(clippy::cast_precision_loss, reason = "a float holds the nearest number to the one written")]
    let float = match &node.value {
        Tree::Integer(integer) => Some(*integer as f64),
        Tree::Float(float) => Some(*float),
        // Rust reads `NaN` and `Infinity` too, as protobuf's JSON writes them.
        Tree::Text(text) => text.parse().ok(),
        _ => None,
    };
    float.ok_or_else(|| node.mismatch("a number"))
}

fn single_float(node: &Node) -> Result<f32, RawError> {
    let float = float(node)?;
    #[expect(clippy::cast_possible_truncation, reason = "what is out of range is refused below")]
    let single = float as f32;
    if float.is_finite() && single.is_infinite() {
        return Err(node.place.rule(format!("must be at most {:e}", f32::MAX)));
    }
    Ok(single)
}

/// With and without padding, in both alphabets.
fn base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [alphabet::STANDARD, alphabet::URL_SAFE]
        .into_iter()
        .find_map(|alphabet| GeneralPurpose::new(&alphabet, config).decode(text).ok())
}
