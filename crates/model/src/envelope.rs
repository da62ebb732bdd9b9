//! A resource as users write it: one flat object, `type`, `name` and `mesh` beside the spec's own fields.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{Spec, kind::Resource};

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
        let text = |field: Option<Option<String>>| field.flatten().unwrap_or_default();
        Ok((Envelope { kind: text(fields.kind), name: text(fields.name), mesh: text(fields.mesh) }, spec))
    }
}

/// The outer `Option` says whether the key was there at all, so that a second one is refused.
#[derive(Default)]
struct EnvelopeFields {
    kind: Option<Option<String>>,
    name: Option<Option<String>>,
    mesh: Option<Option<String>>,
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
            *slot = Some(self.map.next_value::<Option<String>>()?);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use crate::Kind;

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
}
