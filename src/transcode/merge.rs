//! A body's JSON object with fields that the path binds inside it. The path's values are set; a
//! body that names one of them too must agree (AIP-127).

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};

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
        while let Some(json) = &mut self.json {
            let Some(key) = json.next_key::<String>()? else {
                self.json = None;
                break;
            };
            let field = self.message.field(&key);
            let name = field.map(|field| field.json);
            let captured = self
                .captured
                .iter()
                .position(|(captured, _)| Some(*captured) == name);
            match captured.map(|index| (index, self.captured[index].1)) {
                Some((_, node)) if node.text().is_some() => {
                    agree(
                        &key,
                        node.text().unwrap_or_default(),
                        &json.next_value::<serde_json::Value>()?,
                    )?;
                }
                found => {
                    self.value = found.map(|(index, node)| {
                        self.captured.swap_remove(index);
                        node
                    });
                    return seed.deserialize(key.into_deserializer()).map(Some);
                }
            }
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
            (Some(json), Some(captured)) => json.next_value_seed(MergedSeed { seed, captured }),
            (None, Some(captured)) => seed.deserialize(captured).map_err(A::Error::custom),
            (None, None) => Err(A::Error::custom("a value was read before its name")),
        }
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

/// Holds a body's value against the path's.
fn agree<E: serde::de::Error>(name: &str, path: &str, body: &serde_json::Value) -> Result<(), E> {
    let equal = match body {
        serde_json::Value::Null => true,
        serde_json::Value::String(text) => text == path,
        other => {
            let written = other.to_string();
            written == path
        }
    };
    if equal {
        return Ok(());
    }
    Err(E::custom(format!(
        "`{name}` is {body} in the request body, but the path says {path:?}"
    )))
}
