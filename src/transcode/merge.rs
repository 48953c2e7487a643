//! A body's JSON object with fields that the path binds inside it. The path's values are set; where
//! a body gives one of them too, it must agree (AIP-127).

use std::borrow::Cow;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor,
};

use super::fields::{Node, Trouble};
use super::row::Message;
use crate::proto::json::Buffer;

/// JSON of a message, or who reads it, and what is captured for the message's fields.
pub struct Merged<'a, T> {
    pub inner: T,
    pub captured: Node<'a>,
    pub message: &'static Message,
}

impl<'a, T> Merged<'a, T> {
    fn around<U>(&self, inner: U) -> Merged<'a, U> {
        Merged {
            inner,
            captured: self.captured,
            message: self.message,
        }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Merged<'de, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_struct("", &[], visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_option(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_struct(name, fields, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Merged<'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.expecting(f)
    }

    /// Null leaves unset what the path does not set.
    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_some(self.captured).map_err(E::custom)
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<V::Value, D::Error> {
        let json = self.around(json);
        self.inner.visit_some(json)
    }

    fn visit_map<A: MapAccess<'de>>(self, json: A) -> Result<V::Value, A::Error> {
        let captured = self
            .captured
            .fields()
            .map(|(field, node)| (field.json, node))
            .collect();
        let fields = MergedFields {
            json: Some(json),
            captured,
            value: None,
            message: self.message,
        };
        self.inner.visit_map(fields)
    }
}

/// First the fields of the JSON object, then the captured ones that it did not lead to.
struct MergedFields<'a, A> {
    /// None once its end was reached.
    json: Option<A>,
    captured: Vec<(&'static str, Node<'a>)>,
    /// The captured part of the value to come, where there is one.
    value: Option<Node<'a>>,
    message: &'static Message,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for MergedFields<'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        if let Some(json) = &mut self.json {
            if let Some(key) = json.next_key_seed(Key)? {
                let name = self.message.field(&key).map(|field| field.json);
                let mut captured = self.captured.iter();
                let captured = captured.position(|(captured, _)| Some(*captured) == name);
                // A name that comes twice finds nothing the second time, and is refused as ever.
                self.value = captured.map(|index| self.captured.swap_remove(index).1);
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            self.json = None;
        }
        let Some((name, node)) = self.captured.pop() else {
            return Ok(None);
        };
        self.value = Some(node);
        seed.deserialize(BorrowedStrDeserializer::new(name))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match (&mut self.json, self.value.take()) {
            (Some(json), None) => json.next_value_seed(seed),
            (Some(json), Some(captured)) if captured.is_given() => {
                // Null is no value to disagree about.
                let given: Option<Buffer> = json.next_value()?;
                let agreed = given.map_or(Ok(()), |Buffer(value)| captured.agrees_with(&value));
                match agreed {
                    Ok(()) => seed.deserialize(captured),
                    Err(trouble) => seed.deserialize(Refused(trouble)),
                }
                .map_err(A::Error::custom)
            }
            (Some(json), Some(captured)) => json.next_value_seed(MergedSeed { seed, captured }),
            (None, Some(captured)) => seed.deserialize(captured).map_err(A::Error::custom),
            (None, None) => Err(A::Error::custom("a value was read before its name")),
        }
    }
}

/// A value that is refused however it is read: what reads it knows where it is.
struct Refused(Trouble);

impl<'de> Deserializer<'de> for Refused {
    type Error = Trouble;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Trouble> {
        Err(self.0)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct option enum identifier
        ignored_any
    }
}

/// A key as it stands in the JSON text, where it needs no unescaping.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Cow<'de, str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

struct MergedSeed<'a, S> {
    seed: S,
    captured: Node<'a>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for MergedSeed<'de, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<S::Value, D::Error> {
        let Some(message) = self.captured.message() else {
            return Err(D::Error::custom("the path binds this field"));
        };
        self.seed.deserialize(Merged {
            inner: json,
            captured: self.captured,
            message,
        })
    }
}
