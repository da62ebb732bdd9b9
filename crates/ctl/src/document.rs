//! What `kumactl apply` is given: YAML or JSON, one document or several, each a resource.
//!
//! Everything that can be known from the text is checked here, for all documents, before anything is sent: the
//! envelope, in the order and with the texts of Kuma 0.3.0, and that the fields are those of the kind. Whether the
//! values make sense is for the control plane to say.

use model::{Kind, Scope, one_line};
use serde_json::Value;

use crate::yaml::{self, YamlError};

/// A resource and where it goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entity {
    pub(crate) kind: Kind,
    /// Empty for a [`Scope::Global`] kind.
    pub(crate) mesh: String,
    pub(crate) name: String,
    /// As it was written, `type`, `name` and `mesh` included.
    pub(crate) content: Value,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error("{0}")]
    Invalid(Invalid),
    /// Counted from 1.
    #[error("document {number}: {invalid}")]
    InvalidOfSeveral { number: usize, invalid: Invalid },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("it is not a map of fields, such as `type: Mesh`")]
    NoMap,
    #[error("{0} field has to be text")]
    NoText(&'static str),
    #[error("Name field cannot be empty")]
    NoName,
    #[error("Mesh field cannot be empty")]
    NoMesh,
    #[error("unknown type \"{}\". It has to be one of {known}", one_line(.0), known = known_types())]
    UnknownType(String),
    /// With the path of the field.
    #[error("{0}")]
    Fields(String),
}

fn known_types() -> String {
    Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}

/// The resources of `text`, in order. Documents without content are left out, but a text without any content is a
/// resource without a name.
pub(crate) fn read(text: &str) -> Result<Vec<Entity>, DocumentError> {
    let mut documents = yaml::read(text)?;
    documents.retain(|document| !document.is_null());
    if documents.is_empty() {
        return Err(DocumentError::Invalid(Invalid::NoName));
    }
    let several = documents.len() > 1;
    let at = |i: usize, invalid| {
        if several {
            DocumentError::InvalidOfSeveral { number: i + 1, invalid }
        } else {
            DocumentError::Invalid(invalid)
        }
    };
    documents
        .into_iter()
        .enumerate()
        .map(|(i, document)| entity(document).map_err(|invalid| at(i, invalid)))
        .collect()
}

fn entity(content: Value) -> Result<Entity, Invalid> {
    let fields = content.as_object().ok_or(Invalid::NoMap)?;
    let text = |field: &str, title| match fields.get(field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Invalid::NoText(title)),
    };
    let (kind, name, mesh) = (text("type", "Type")?, text("name", "Name")?, text("mesh", "Mesh")?);
    if name.is_empty() {
        return Err(Invalid::NoName);
    }
    let known = Kind::from_name(&kind);
    let is_global = known.is_some_and(|kind| kind.scope() == Scope::Global);
    if mesh.is_empty() && !is_global {
        return Err(Invalid::NoMesh);
    }
    let kind = known.ok_or(Invalid::UnknownType(kind))?;
    check_fields(kind, &content)?;
    Ok(Entity { kind, mesh: if is_global { String::new() } else { mesh }, name, content })
}

fn check_fields(kind: Kind, content: &Value) -> Result<(), Invalid> {
    let mut track = serde_path_to_error::Track::new();
    match kind.read_document(serde_path_to_error::Deserializer::new(content, &mut track)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Invalid::Fields(match track.path().to_string() {
            path if path == "." => one_line(&error.to_string()).into_owned(),
            path => format!("{}: {}", one_line(&path), one_line(&error.to_string())),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_document_is_a_resource() {
        let text = "\
# two resources
type: Mesh
name: demo
---
---
{\"type\": \"Dataplane\", \"mesh\": \"demo\", \"name\": \"web-1\", \"networking\": {}}
";
        let entities = read(text).unwrap();
        let keys: Vec<_> = entities.iter().map(|it| (it.kind, it.mesh.as_str(), it.name.as_str())).collect();
        assert_eq!(keys, [(Kind::Mesh, "", "demo"), (Kind::Dataplane, "demo", "web-1")]);
        assert_eq!(entities[0].content, serde_json::json!({"type": "Mesh", "name": "demo"}));
    }

    #[test]
    fn the_first_thing_missing_is_named() {
        for (text, expected) in [
            ("", "Name field cannot be empty"),
            ("# nothing", "Name field cannot be empty"),
            ("---\n---\n", "Name field cannot be empty"),
            ("type: Mesh", "Name field cannot be empty"),
            ("type: Nonsense", "Name field cannot be empty"),
            ("type: Dataplane\nname: web", "Mesh field cannot be empty"),
            ("name: web", "Mesh field cannot be empty"),
            ("name: web\nmesh: m", "unknown type \"\". It has to be one of Mesh, Dataplane, "),
            ("type: Nonsense\nname: web\nmesh: m", "unknown type \"Nonsense\""),
            ("type: mesh\nname: web\nmesh: m", "unknown type \"mesh\""),
            ("type: Mesh\nname: 7", "Name field has to be text"),
            ("just a sentence", "not a map of fields"),
            ("- type: Mesh", "not a map of fields"),
            ("type: Mesh\nname: a\n---\ntype: Mesh\n", "document 2: Name field cannot be empty"),
            ("type: Mesh\nname: a\n---\ntype: Mesh: x\n", "line 4"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_field_at_fault_is_named_with_its_path() {
        let dataplane = "type: Dataplane\nname: web\nmesh: m\nnetworking:\n  inbound:\n  - tags: ";
        for (text, expected) in [
            ("type: Mesh\nname: a\nmtlz: {}".to_owned(), "unknown field `mtlz`"),
            ("type: Mesh\nname: a\nmtls: {enabld: true}".to_owned(), "mtls.enabld: unknown field `enabld`"),
            ("type: Mesh\nname: a\nmtls: {enabled: maybe}".to_owned(), "mtls.enabled: invalid type"),
            (format!("{dataplane}{{version: 1}}"), "networking.inbound[0].tags.version: invalid type"),
            (format!("{dataplane}none"), "networking.inbound[0].tags: invalid type"),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
