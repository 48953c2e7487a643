//! A body's JSON object with fields that the path binds inside it. The path's values are set; where
//! a body gives one of them too, that is noted: it must agree (AIP-127).

use std::borrow::Cow;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, IntoDeserializer, MapAccess, Visitor,
};

use super::fields::Node;
use super::row::Message;

/// JSON of a message, and what is captured for its fields.
pub struct Merged<'a, D> {
    pub json: D,
    pub captured: Node<'a>,
    pub message: &'static Message,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Merged<'de, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_struct("", &[], visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let (captured, message) = (self.captured, self.message);
        self.json.deserialize_struct(
            name,
            fields,
            MergedVisitor {
                visitor,
                captured,
                message,
            },
        )
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct MergedVisitor<'a, V> {
    visitor: V,
    captured: Node<'a>,
    message: &'static Message,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for MergedVisitor<'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.visitor.expecting(f)
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
        self.visitor.visit_map(fields)
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
                if json.next_value::<Option<IgnoredAny>>()?.is_some() {
                    captured.is_in_body();
                }
                seed.deserialize(captured).map_err(A::Error::custom)
            }
            (Some(json), Some(captured)) => json.next_value_seed(MergedSeed { seed, captured }),
            (None, Some(captured)) => seed.deserialize(captured).map_err(A::Error::custom),
            (None, None) => Err(A::Error::custom("a value was read before its name")),
        }
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
            json,
            captured: self.captured,
            message,
        })
    }
}
