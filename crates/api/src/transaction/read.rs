//! The body of a transaction.
//!
//! What a resource's fields are follows from its `type`, which may stand behind them. So the body is passed over twice:
//! first for the types alone, then for everything, straight into typed specs. That way an error has its path and its place
//! in the body, as it has in a PUT, and nothing is kept in between.

use std::fmt;

use model::{Document, Kind};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::OPERATIONS_MAX;
use crate::{
    negotiate::Format,
    read::{self, Object},
    respond::{Refusal, title},
};

/// One operation as it was written: not yet judged.
#[derive(Debug, Default)]
pub(super) struct Operation {
    pub(super) op: String,
    pub(super) if_match: Option<String>,
    pub(super) resource: Option<Resource>,
    /// What a delete names.
    pub(super) kind: Option<String>,
    pub(super) mesh: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Debug)]
pub(super) enum Resource {
    Read(Box<Document>),
    /// Its type is none that there is.
    OfNoKind,
}

pub(super) fn operations(format: Format, body: &[u8]) -> Result<Vec<Operation>, Refusal> {
    let outline: Outline = read::object(format, body, title::TRANSACTION)?;
    let operations = outline.operations.unwrap_or_default();
    let number = operations.len();
    if number > OPERATIONS_MAX {
        let details =
            format!("A transaction has {OPERATIONS_MAX} operations at most; this one has {number}.");
        return Err(Refusal::bad_request(title::TRANSACTION, details));
    }
    let types: Vec<String> =
        operations.into_iter().map(|Object(outline)| outline.resource.unwrap_or_default().0).collect();
    read::seeded(format, body, Transaction { types: &types }, title::TRANSACTION)
}

#[derive(Deserialize)]
struct Outline {
    operations: Option<Vec<Object<OperationOutline>>>,
}

#[derive(Deserialize)]
struct OperationOutline {
    resource: Option<TypeOf>,
}

/// The `type` of a resource; empty where there is none.
#[derive(Default)]
struct TypeOf(String);

impl<'de> Deserialize<'de> for TypeOf {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = TypeOf;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a resource")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TypeOf, A::Error> {
                let mut found = TypeOf::default();
                while let Some(field) = map.next_key::<String>()? {
                    if field == "type" {
                        found.0 = map.next_value::<Option<String>>()?.unwrap_or_default();
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(found)
            }
        }

        from.deserialize_map(Fields)
    }
}

/// Reads the whole, knowing the type of each operation's resource.
struct Transaction<'a> {
    types: &'a [String],
}

impl<'de> DeserializeSeed<'de> for Transaction<'_> {
    type Value = Vec<Operation>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Transaction<'_> {
    type Value = Vec<Operation>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a transaction: an object with operations")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut operations = None;
        while let Some(OnlyField::Operations) = map.next_key()? {
            if operations.is_some() {
                return Err(A::Error::duplicate_field("operations"));
            }
            operations = Some(map.next_value_seed(Operations { types: self.types })?);
        }
        operations.ok_or_else(|| A::Error::missing_field("operations"))
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum OnlyField {
    Operations,
}

struct Operations<'a> {
    types: &'a [String],
}

impl<'de> DeserializeSeed<'de> for Operations<'_> {
    type Value = Vec<Operation>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Operations<'_> {
    type Value = Vec<Operation>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of operations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut operations = Vec::new();
        for type_name in self.types {
            operations.extend(seq.next_element_seed(OneOperation { type_name })?);
        }
        // As many as the first pass has seen, so that this is the end.
        seq.next_element::<IgnoredAny>()?;
        Ok(operations)
    }
}

struct OneOperation<'a> {
    type_name: &'a str,
}

impl<'de> DeserializeSeed<'de> for OneOperation<'_> {
    type Value = Operation;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Operation, D::Error> {
        from.deserialize_map(self)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Op,
    IfMatch,
    Resource,
    Type,
    Mesh,
    Name,
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Op => "op",
            Self::IfMatch => "ifMatch",
            Self::Resource => "resource",
            Self::Type => "type",
            Self::Mesh => "mesh",
            Self::Name => "name",
        }
    }
}

impl<'de> Visitor<'de> for OneOperation<'_> {
    type Value = Operation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an operation: an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Operation, A::Error> {
        let mut operation = Operation::default();
        let mut seen = Vec::new();
        while let Some(field) = map.next_key::<Field>()? {
            if seen.contains(&field) {
                return Err(A::Error::duplicate_field(field.name()));
            }
            seen.push(field);
            match field {
                Field::Op => operation.op = map.next_value::<Option<String>>()?.unwrap_or_default(),
                Field::IfMatch => operation.if_match = map.next_value()?,
                Field::Resource => {
                    operation.resource = map.next_value_seed(OneResource { type_name: self.type_name })?;
                }
                Field::Type => operation.kind = map.next_value()?,
                Field::Mesh => operation.mesh = map.next_value()?,
                Field::Name => operation.name = map.next_value()?,
            }
        }
        Ok(operation)
    }
}

/// Absent, like null, is `None`.
struct OneResource<'a> {
    type_name: &'a str,
}

impl<'de> DeserializeSeed<'de> for OneResource<'_> {
    type Value = Option<Resource>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for OneResource<'_> {
    type Value = Option<Resource>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resource")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        let Some(kind) = Kind::from_name(self.type_name) else {
            IgnoredAny::deserialize(from)?;
            return Ok(Some(Resource::OfNoKind));
        };
        Ok(Some(Resource::Read(Box::new(kind.read_document(from)?))))
    }
}
