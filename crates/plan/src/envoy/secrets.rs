//! A message without its secrets: what Envoy's API marks as sensitive (`udpa.annotations.sensitive`) is replaced, as in
//! Envoy's own `/config_dump`.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DynamicMessage, ExtensionDescriptor, FieldDescriptor, MapKey, ReflectMessage, Value};

use crate::descriptors;

const REDACTED: &str = "<redacted>";

const ANY: &str = "google.protobuf.Any";

/// Whether what a value is part of is secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Open,
    Secret,
}

/// The same message, in which every text and every bytes of a secret is `<redacted>` and whatever else it holds is gone.
pub(super) fn without_secrets(mut message: DynamicMessage) -> DynamicMessage {
    redact_message(&mut message, Within::Open);
    message
}

fn redact_message(message: &mut DynamicMessage, within: Within) {
    if message.descriptor().full_name() == ANY {
        return redact_any(message, within);
    }
    let set: Vec<FieldDescriptor> = message.fields().map(|(field, _)| field).collect();
    for field in set {
        let within = if is_sensitive(&field) { Within::Secret } else { within };
        if !redact(message.get_field_mut(&field), within) {
            message.clear_field(&field);
        }
    }
}

/// What cannot be looked into is not shown.
fn redact_any(any: &mut DynamicMessage, within: Within) {
    let redacted = nested(any).map(|mut nested| {
        redact_message(&mut nested, within);
        nested.encode_to_vec()
    });
    match redacted {
        Some(bytes) => any.set_field_by_name("value", Value::Bytes(bytes.into())),
        None => any.clear_field_by_name("value"),
    }
}

fn nested(any: &DynamicMessage) -> Option<DynamicMessage> {
    let (type_url, value) = (any.get_field_by_name("type_url")?, any.get_field_by_name("value")?);
    let (_, name) = type_url.as_str()?.rsplit_once('/')?;
    DynamicMessage::decode(descriptors::v3().get_message_by_name(name)?, value.as_bytes()?.clone()).ok()
}

/// Whether something is left of the value.
fn redact(value: &mut Value, within: Within) -> bool {
    match value {
        Value::Message(message) => redact_message(message, within),
        Value::List(items) => items.retain_mut(|item| redact(item, within)),
        Value::Map(entries) => entries.retain(|_: &MapKey, item| redact(item, within)),
        _ if within == Within::Open => {}
        Value::String(text) => REDACTED.clone_into(text),
        Value::Bytes(bytes) => *bytes = REDACTED.into(),
        _ => return false,
    }
    true
}

fn is_sensitive(field: &FieldDescriptor) -> bool {
    static SENSITIVE: LazyLock<ExtensionDescriptor> = LazyLock::new(|| {
        let extension =
            descriptors::v3().all_extensions().find(|it| it.full_name() == "udpa.annotations.sensitive");
        extension.expect("Envoy's descriptors have the annotation that they use")
    });
    field.options().get_extension(&SENSITIVE).as_bool() == Some(true)
}
