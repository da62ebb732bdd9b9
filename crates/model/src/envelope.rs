//! A resource as users write it: one flat object, `type`, `name` and `mesh` beside the spec's own fields.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{Kind, MESH_AND_NAME_MAX_CHARS, Scope, Spec, Violations, kind::Resource};

/// Who a resource says it is. Absent and null are the empty string, as in proto3 JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    pub kind: String,
    pub name: String,
    pub mesh: String,
}

/// A resource as it was read: not yet compared with a URL, defaulted or validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub envelope: Envelope,
    pub spec: Spec,
}

impl Envelope {
    /// Compares with the URL that the resource was written to, and judges the URL's own `name` and `mesh`: the whole
    /// envelope stage of a write, in Kuma 0.3.0's order. What the body calls itself is only compared.
    ///
    /// The `mesh` of a Mesh is its name, and what its body says of a mesh is ignored.
    pub fn check(&self, kind: Kind, mesh: &str, name: &str) -> Violations {
        let mesh = match kind.scope() {
            Scope::Global => name,
            Scope::Mesh => mesh,
        };
        let mut violations = Violations::default();
        self.compare(kind, mesh, name, &mut violations);
        check_characters("name", name, &mut violations);
        check_characters("mesh", mesh, &mut violations);
        check_length("name", name, &mut violations);
        if kind.scope() == Scope::Mesh {
            check_length("mesh", mesh, &mut violations);
        }
        violations
    }

    fn compare(&self, kind: Kind, mesh: &str, name: &str, violations: &mut Violations) {
        if self.name != name {
            violations.add("name", "name from the URL has to be the same as in body");
        }
        if self.kind != kind.name() {
            violations.add("type", "type from the URL has to be the same as in body");
        }
        if kind.scope() == Scope::Mesh && self.mesh != mesh {
            violations.add("mesh", "mesh from the URL has to be the same as in body");
        }
    }
}

fn check_characters(field: &str, text: &str, violations: &mut Violations) {
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-' | b'_')) {
        violations.add(
            field,
            "invalid characters. Valid characters are numbers, lowercase latin letters and '-', '_' symbols.",
        );
    }
}

/// Kuma 0.3.0 had no limit, and its databases cut or refused what was longer.
fn check_length(field: &str, text: &str, violations: &mut Violations) {
    if !(1..=MESH_AND_NAME_MAX_CHARS).contains(&text.chars().count()) {
        violations.add(field, format!("must have 1 to {MESH_AND_NAME_MAX_CHARS} characters"));
    }
}

impl Document {
    pub(crate) fn read<'de, R: Resource, D: Deserializer<'de>>(
        from: D,
        wrap: fn(R) -> Spec,
    ) -> Result<Self, D::Error> {
        let (envelope, spec) = from.deserialize_any(DocumentVisitor::<R>(PhantomData))?;
        Ok(Self { envelope, spec: wrap(spec) })
    }
}

struct DocumentVisitor<R>(PhantomData<R>);

impl<'de, R: Resource> Visitor<'de> for DocumentVisitor<R> {
    type Value = (Envelope, R);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resource (an object with type, name and mesh)")
    }

    /// JSON `null` is an object without fields (Kuma 0.3.0).
    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        let nothing = std::iter::empty::<(String, String)>();
        let spec = R::deserialize(serde::de::value::MapDeserializer::<_, E>::new(nothing))?;
        Ok((Envelope::default(), spec))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut fields = EnvelopeFields::default();
        let spec = R::deserialize(MapAccessDeserializer::new(WithoutEnvelope { map, fields: &mut fields }))?;
        let EnvelopeFields { kind, name, mesh } = fields;
        let envelope = Envelope {
            kind: kind.unwrap_or_default(),
            name: name.unwrap_or_default(),
            mesh: mesh.unwrap_or_default(),
        };
        Ok((envelope, spec))
    }
}

/// `None` until the key was there, so that a second one is refused.
#[derive(Default)]
struct EnvelopeFields {
    kind: Option<String>,
    name: Option<String>,
    mesh: Option<String>,
}

/// Hands every entry but the envelope's on to the spec, in the place where it stands: so errors keep their position.
struct WithoutEnvelope<'a, A> {
    map: A,
    fields: &'a mut EnvelopeFields,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithoutEnvelope<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            let (slot, name) = match key.as_str() {
                "type" => (&mut self.fields.kind, "type"),
                "name" => (&mut self.fields.name, "name"),
                "mesh" => (&mut self.fields.mesh, "mesh"),
                _ => return seed.deserialize(key.into_deserializer()).map(Some),
            };
            if slot.is_some() {
                return Err(A::Error::duplicate_field(name));
            }
            *slot = Some(self.map.next_value::<Option<String>>()?.unwrap_or_default());
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, json: &str) -> Result<Document, String> {
        kind.read_document(&mut serde_json::Deserializer::from_str(json)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_envelope_may_stand_anywhere_among_the_spec_s_fields() {
        let read =
            read(Kind::Dataplane, r#"{"mesh":"m","networking":{},"type":"Dataplane","name":"web"}"#).unwrap();
        assert_eq!(
            read.envelope,
            Envelope { kind: "Dataplane".into(), name: "web".into(), mesh: "m".into() }
        );
    }

    #[test]
    fn null_is_a_resource_without_fields() {
        assert_eq!(read(Kind::Mesh, "null").unwrap().envelope, Envelope::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_position() {
        for (json, part) in [
            (r#"{"type":"Mesh","type":"Mesh"}"#, "duplicate field `type`"),
            (r#"{"type":"Mesh","mtsl":{}}"#, "unknown field `mtsl`"),
            (r#"{"name":7}"#, "invalid type: integer `7`, expected a string"),
            ("[]", "expected a resource"),
            ("\"Mesh\"", "expected a resource"),
        ] {
            let error = read(Kind::Mesh, json).unwrap_err();
            assert!(error.contains(part) && error.contains("line 1 column"), "{json}: {error}");
        }
    }

    #[test]
    fn an_envelope_is_compared_with_the_url_and_then_the_url_is_judged() {
        const NAME: &str = "name: name from the URL has to be the same as in body";
        const TYPE: &str = "type: type from the URL has to be the same as in body";
        const MESH: &str = "mesh: mesh from the URL has to be the same as in body";
        const NAME_CHARS: &str = "name: invalid characters. Valid characters are numbers, lowercase latin letters and '-', '_' symbols.";
        const MESH_CHARS: &str = "mesh: invalid characters. Valid characters are numbers, lowercase latin letters and '-', '_' symbols.";
        const NAME_LENGTH: &str = "name: must have 1 to 253 characters";
        const MESH_LENGTH: &str = "mesh: must have 1 to 253 characters";
        let (longest, too_long) = ("w".repeat(253), "w".repeat(254));

        let check = |kind: Kind, url: [&str; 2], body: [&str; 3], expected: &[&str]| {
            let [kind_of_body, mesh_of_body, name_of_body] = body.map(str::to_owned);
            let envelope = Envelope { kind: kind_of_body, mesh: mesh_of_body, name: name_of_body };
            assert_eq!(
                envelope.check(kind, url[0], url[1]).to_string(),
                expected.join("; "),
                "{url:?} {body:?}"
            );
        };
        check(Kind::Dataplane, ["m", "web_1-a"], ["Dataplane", "m", "web_1-a"], &[]);
        check(Kind::Dataplane, ["m", "web"], ["dataplane", "m", "web"], &[TYPE]);
        check(Kind::Dataplane, ["m", "web"], ["Dataplane", "m", "Web"], &[NAME]);
        check(Kind::Dataplane, ["m", "web"], ["", "", ""], &[NAME, TYPE, MESH]);
        check(Kind::Dataplane, ["m", "wéb"], ["Dataplane", "m", "wéb"], &[NAME_CHARS]);
        check(Kind::Dataplane, ["M", "W"], ["Dataplane", "m", "w"], &[NAME, MESH, NAME_CHARS, MESH_CHARS]);
        check(Kind::Dataplane, [&longest, &longest], ["Dataplane", &longest, &longest], &[]);
        check(
            Kind::Dataplane,
            [&too_long, &too_long],
            ["Dataplane", &too_long, &too_long],
            &[NAME_LENGTH, MESH_LENGTH],
        );
        check(Kind::Dataplane, ["m", ""], ["Dataplane", "m", ""], &[NAME_LENGTH]);
        check(Kind::Mesh, ["m", "m"], ["Mesh", "another", "m"], &[]);
        check(Kind::Mesh, ["", "m"], ["Mesh", "", "m"], &[]);
        check(Kind::Mesh, ["a.b", "a.b"], ["", "", "m"], &[NAME, TYPE, NAME_CHARS, MESH_CHARS]);
        check(Kind::Mesh, [&too_long, &too_long], ["Mesh", "", &too_long], &[NAME_LENGTH]);
    }
}
