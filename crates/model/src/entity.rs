//! A resource as it is answered: the flat object that [`Document`](crate::Document) reads.

use serde::Serialize;

use crate::{Key, Scope, Spec};

/// The entity as a GET answers it: `type`, `name`, `mesh` (absent on a Mesh) and beside them the spec's own fields, as
/// compact JSON. One pass, without an intermediate tree.
///
/// An error cannot come from what [`Kind::read_document`](crate::Kind::read_document) has read.
pub fn print_entity(key: &Key, spec: &Spec) -> serde_json::Result<Vec<u8>> {
    let mesh = match key.kind.scope() {
        Scope::Global => None,
        Scope::Mesh => Some(&*key.mesh),
    };
    serde_json::to_vec(&Entity { kind: key.kind.name(), name: &key.name, mesh, spec })
}

#[derive(Serialize)]
struct Entity<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mesh: Option<&'a str>,
    #[serde(flatten)]
    spec: &'a Spec,
}

#[cfg(test)]
mod tests {
    use crate::Kind;

    use super::*;

    #[test]
    fn an_entity_has_its_name_beside_the_fields_of_its_spec() {
        for (key, spec, expected) in [
            (Key::mesh("m"), "{}", r#"{"type":"Mesh","name":"m"}"#),
            (
                Key::new(Kind::Dataplane, "m", "web"),
                r#"{"networking":{"inbound":[{"tags":{"type":"t","service":"s"}}]}}"#,
                r#"{"type":"Dataplane","name":"web","mesh":"m","networking":{"inbound":[{"tags":{"service":"s","type":"t"}}]}}"#,
            ),
            (
                Key::new(Kind::TrafficRoute, "m", "r"),
                r#"{"conf":[],"sources":[{}]}"#,
                r#"{"type":"TrafficRoute","name":"r","mesh":"m","sources":[{}],"conf":[]}"#,
            ),
        ] {
            let spec = key.kind.read_spec(&mut serde_json::Deserializer::from_str(spec)).unwrap();
            assert_eq!(String::from_utf8(print_entity(&key, &spec).unwrap()).unwrap(), expected);
        }
    }
}
