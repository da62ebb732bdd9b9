//! proto3 JSON as Kuma 0.3.0 reads and prints it, as serde field helpers.
//!
//! * null is as good as absent; a null map value is `""`, a null list item an empty item;
//! * an integer may be a string, but neither form may have a fraction or an exponent;
//! * a 64-bit integer is printed as a string;
//! * a scalar at its default is left out; an empty message or list that was given stays, so those are `Option`s;
//! * a key that is named twice in a map is refused (Kuma took the last).

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A `string` field: null is its default.
pub fn scalar<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A `bool` field. In YAML a text is no boolean, in quotes or not, as it is none in JSON.
pub fn boolean<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    from.deserialize_any(Boolean)
}

struct Boolean;

impl Visitor<'_> for Boolean {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a boolean")
    }

    fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
        Ok(value)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }
}

/// For `skip_serializing_if`.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A `uint32` field: a number or a string of digits.
pub fn uint32<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    from.deserialize_any(Integer::<u32>(PhantomData))
}

/// A `uint64` field, printed as a string.
pub mod uint64 {
    use super::{Deserializer, Integer, PhantomData};

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        from.deserialize_any(Integer::<u64>(PhantomData))
    }

    pub fn serialize<S: serde::Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }
}

struct Integer<T>(PhantomData<T>);

impl<T: TryFrom<u64> + std::str::FromStr + Default> Visitor<'_> for Integer<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an unsigned {}-bit integer, as a number or a string", 8 * size_of::<T>())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        let unsigned = u64::try_from(value).ok().and_then(|value| T::try_from(value).ok());
        unsigned.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Signed(value), &self))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let parsed = if digits { value.parse().ok() } else { None };
        parsed.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(value), &self))
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }
}

/// A message field. Derived alone, a struct would also be read from a list of its fields' values.
pub fn message<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    from.deserialize_option(Message(PhantomData))
}

struct Message<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Message<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_none<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Option<T>, D::Error> {
        from.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

/// A repeated message.
pub mod list {
    use super::{Deserialize, Deserializer};

    pub fn deserialize<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
        from: D,
    ) -> Result<Option<Vec<T>>, D::Error> {
        let items = Option::<Vec<Item<T>>>::deserialize(from)?;
        Ok(items.map(|items| items.into_iter().map(|Item(item)| item).collect()))
    }

    struct Item<T>(T);

    impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for Item<T> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            Ok(Self(super::message(from)?.unwrap_or_default()))
        }
    }

    pub fn serialize<S: serde::Serializer, T: serde::Serialize>(
        items: &Option<Vec<T>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        serde::Serialize::serialize(items, to)
    }
}

/// A `repeated string`.
pub fn strings<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    let items = Option::<Vec<Option<String>>>::deserialize(from)?;
    Ok(items.map(|items| items.into_iter().map(Option::unwrap_or_default).collect()))
}

/// A `map<string, string>`.
pub mod map {
    use std::{collections::BTreeMap, fmt};

    use serde::de::{Error, MapAccess, Visitor};

    use super::Deserializer;

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<BTreeMap<String, String>>, D::Error> {
        from.deserialize_option(Entries)
    }

    pub fn serialize<S: serde::Serializer>(
        entries: &Option<BTreeMap<String, String>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        serde::Serialize::serialize(entries, to)
    }

    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Option<BTreeMap<String, String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of strings")
        }

        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
            from.deserialize_map(self)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = BTreeMap::new();
            while let Some(key) = map.next_key::<String>()? {
                let value = map.next_value::<Option<String>>()?.unwrap_or_default();
                if let Some(_first) = entries.insert(key.clone(), value) {
                    return Err(A::Error::custom(format_args!("key `{key}` is named twice")));
                }
            }
            Ok(Some(entries))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Dataplane, Mesh};

    fn refused<T: serde::de::DeserializeOwned>(json: &str) -> String {
        serde_json::from_str::<T>(json).err().expect(json).to_string()
    }

    #[test]
    fn null_is_as_good_as_absent_and_in_a_list_an_empty_item() {
        let read: Dataplane = serde_json::from_str(
            r#"{"networking":{"inbound":[null,{"interface":null,"tags":{"a":null}}],"outbound":null,"transparentProxying":{"redirectPort":null}}}"#,
        )
        .unwrap();
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            r#"{"networking":{"inbound":[{},{"tags":{"a":""}}],"transparentProxying":{}}}"#
        );
    }

    #[test]
    fn a_message_is_an_object_and_nothing_else() {
        for json in [
            r#"{"mtls":[]}"#,
            r#"{"mtls":{"ca":{"builtin":[]}}}"#,
            r#"{"mtls":"on"}"#,
            r#"{"logging":{"backends":[[]]}}"#,
            r#"{"logging":{"backends":["file"]}}"#,
        ] {
            let error = refused::<Mesh>(json);
            assert!(error.contains("expected an object at line 1"), "{json}: {error}");
        }
    }

    #[test]
    fn a_field_that_is_unknown_or_named_twice_is_refused() {
        for (json, expected) in [
            (
                r#"{"networking":{"inbound":[{"port":80}]}}"#,
                "unknown field `port`, expected `interface` or `tags`",
            ),
            (r#"{"Networking":null}"#, "unknown field `Networking`"),
            (r#"{"networking":{"inbound":[],"inbound":[]}}"#, "duplicate field `inbound`"),
            (
                r#"{"networking":{"outbound":[{"service_port":1,"servicePort":1}]}}"#,
                "duplicate field `servicePort`",
            ),
            (r#"{"networking":{"inbound":[{"tags":{"a":"1","a":"1"}}]}}"#, "key `a` is named twice"),
            (
                r#"{"networking":{"inbound":[{"tags":{"a":true}}]}}"#,
                "invalid type: boolean `true`, expected a string",
            ),
        ] {
            let error = refused::<Dataplane>(json);
            assert!(error.starts_with(expected) && error.contains("line 1 column"), "{json}: {error}");
        }
    }
}
