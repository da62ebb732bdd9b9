//! The words in which each kind, and the API around them, describes its JSON: JSON Schema 2020-12, the dialect of
//! OpenAPI 3.1.
//!
//! A schema describes what is answered. Also read, and not described: null for absent, integers as strings, and the
//! snake_case spelling of a field.

use serde_json::{Map, Value, json};

use crate::{MESH_AND_NAME_MAX_CHARS, SERVICE_TAG, Scope};

/// Refuses fields that it does not name.
pub fn object<const N: usize>(description: &str, properties: [(&str, Value); N]) -> Value {
    let properties: Map<String, Value> =
        properties.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({
        "type": "object",
        "description": description,
        "properties": properties,
        "additionalProperties": false,
    })
}

/// `object` with these fields required.
pub fn requiring<const N: usize>(mut object: Value, fields: [&str; N]) -> Value {
    object["required"] = fields.into_iter().map(Value::from).collect();
    object
}

pub fn list(items: Value) -> Value {
    Value::from_iter([("type", json!("array")), ("items", items)])
}

pub fn non_empty_list(items: Value) -> Value {
    Value::from_iter([("type", json!("array")), ("items", items), ("minItems", json!(1))])
}

pub fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

pub fn non_empty_text(description: &str) -> Value {
    json!({"type": "string", "description": description, "minLength": 1})
}

pub fn boolean(description: &str) -> Value {
    json!({"type": "boolean", "description": description})
}

/// From 0.
pub fn integer(description: &str, maximum: u32) -> Value {
    json!({"type": "integer", "description": description, "minimum": 0, "maximum": maximum})
}

/// A 64-bit integer, which proto3 JSON writes as a string.
pub fn counter(description: &str) -> Value {
    json!({"type": "string", "description": description, "pattern": "^[0-9]+$"})
}

pub fn time(description: &str) -> Value {
    json!({"type": "string", "description": description, "format": "date-time"})
}

/// Tags that must have a `service`.
pub fn tags(description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "properties": {SERVICE_TAG: non_empty_text("The name of the service.")},
        "additionalProperties": {"type": "string", "minLength": 1},
        "required": [SERVICE_TAG],
    })
}

/// A list of selectors that may name any tags.
pub fn selectors(description: &str) -> Value {
    selectors_of(description, tags("Tags and their values; `*` is any value."))
}

/// A list of selectors that name `service` alone.
pub fn service_selectors(description: &str) -> Value {
    let mut only_service = tags("The service; `*` is any.");
    only_service["maxProperties"] = json!(1);
    selectors_of(description, only_service)
}

fn selectors_of(description: &str, tags: Value) -> Value {
    let selector = requiring(object("Matches what has all of these tags.", [("match", tags)]), ["match"]);
    let mut list = non_empty_list(selector);
    list["description"] = json!(description);
    list
}

/// The schema of a whole resource: `type`, `name` and `mesh` beside the fields of its spec.
pub fn entity(type_name: &str, scope: Scope, mut spec: Value) -> Value {
    let mut required = vec!["type", "name"];
    spec["properties"]["type"] = json!({"const": type_name});
    spec["properties"]["name"] = name("The name of the resource.");
    if scope == Scope::Mesh {
        spec["properties"]["mesh"] = name("The name of the mesh that it belongs to.");
        required.push("mesh");
    }
    let of_spec = spec["required"].as_array().cloned().unwrap_or_default();
    spec["required"] = required.into_iter().map(Value::from).chain(of_spec).collect();
    spec["title"] = json!(type_name);
    spec
}

/// The name of a resource or of a mesh.
pub fn name(description: &str) -> Value {
    json!({
        "type": "string",
        "description": description,
        "pattern": "^[0-9a-z_-]+$",
        "minLength": 1,
        "maxLength": MESH_AND_NAME_MAX_CHARS,
    })
}
