//! Presents what a request gives, field by field, to a message's `Deserialize`. URL text has no
//! types of its own: it answers whatever type it is asked for.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::merge::Merged;
use super::row::{Field, Kind, Message};
use crate::proto::json::{self, Numeric, Strict, TextReader};

/// One thing that the request gives, and the field it is given for.
#[derive(Debug)]
pub struct Entry<'a> {
    /// From the request message to the field; empty for the message itself.
    pub path: Cow<'a, [&'static Field]>,
    pub given: Given<'a>,
    /// The query spelled it with `+`, which is a space there.
    pub had_plus: bool,
}

/// What is given for a field.
#[derive(Debug)]
pub enum Given<'a> {
    /// Decoded text of the path or the query.
    Text(Cow<'a, str>),
    /// Bytes of the body that claim to be JSON.
    Json(&'a [u8]),
    /// A value out of the body's JSON.
    Value(&'a Value),
    /// Bytes of the body as they are, for a field of bytes.
    Bytes(&'a [u8]),
    /// The paths of a `google.protobuf.FieldMask`, in proto names.
    Paths(Vec<String>),
}

/// Why a message could not be read.
#[derive(Debug)]
pub enum Trouble {
    Text(String),
    Json(serde_json::Error),
}

impl<'a> Entry<'a> {
    pub fn new(path: impl Into<Cow<'a, [&'static Field]>>, given: Given<'a>) -> Self {
        Self {
            path: path.into(),
            given,
            had_plus: false,
        }
    }

    /// Sorts entries of one field, and of the fields inside it, side by side.
    pub fn order(&self) -> impl Iterator<Item = u32> + '_ {
        self.path.iter().map(|field| field.number)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Json(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Trouble {}

impl de::Error for Trouble {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Text(text.to_string())
    }
}

/// Holds the value that the body gives for a field against what the path gives for it, and says what
/// is wrong if they differ.
pub type Agree = fn(&Entry, &Value) -> Result<(), Trouble>;

/// The entries of one message or one field: those whose path starts with the same `depth` fields.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    /// Sorted and not empty, except at the root.
    entries: &'a [Entry<'a>],
    depth: usize,
    /// The message that this node is, where it is one.
    message: Option<&'static Message>,
    agree: Agree,
}

impl<'a> Node<'a> {
    /// The whole request. Without its message nothing in the body can be set by the path.
    pub fn root(entries: &'a [Entry<'a>], message: Option<&'static Message>, agree: Agree) -> Self {
        Self {
            entries,
            depth: 0,
            message,
            agree,
        }
    }

    /// A node for each field of this message that something is given for.
    pub fn fields(self) -> impl Iterator<Item = (&'static Field, Self)> {
        let Self {
            entries,
            depth,
            agree,
            ..
        } = self;
        let groups = entries.chunk_by(move |a, b| a.path.get(depth) == b.path.get(depth));
        groups.filter_map(move |entries| {
            let field = *entries.first()?.path.get(depth)?;
            let message = match field.kind {
                Kind::Message(message) => Some(message),
                Kind::Text | Kind::Opaque => None,
            };
            Some((
                field,
                Node {
                    entries,
                    depth: depth + 1,
                    message,
                    agree,
                },
            ))
        })
    }

    /// The message that this node is, where it is one.
    pub fn message(self) -> Option<&'static Message> {
        self.message
    }

    /// Something is given for this very field, not for fields inside it.
    pub fn is_given(self) -> bool {
        self.own().is_some()
    }

    /// Holds the body's value for this field against what is given for it.
    pub fn agrees_with(self, value: &Value) -> Result<(), Trouble> {
        self.entries
            .first()
            .map_or(Ok(()), |bound| (self.agree)(bound, value))
    }

    /// What is given for the node itself, not for fields inside it.
    fn own(self) -> Option<&'a Given<'a>> {
        let first = self.entries.first()?;
        (first.path.len() == self.depth).then_some(&first.given)
    }
}

/// Reads JSON to its end.
fn read_json<'de, T>(
    bytes: &'de [u8],
    read: impl FnOnce(Strict<'_, &mut TextReader<'de>>) -> Result<T, serde_json::Error>,
) -> Result<T, Trouble> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let strict = Strict::of_text(&mut reader, bytes, json::Options::default());
    let value = read(strict).map_err(Trouble::Json)?;
    reader.end().map_err(Trouble::Json)?;
    Ok(value)
}

/// Hands a request for a type to whoever holds the value: JSON, JSON with captured fields inside
/// it, or text.
macro_rules! answer {
    ($($method:ident($($arg:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, Trouble> {
            match self.own() {
                Some(Given::Json(bytes)) => match (&self.entries[1..], self.message) {
                    ([], _) | (_, None) => read_json(bytes, |json| json.$method($($arg,)* visitor)),
                    (entries, Some(message)) => {
                        let captured = Node { entries, ..self };
                        read_json(bytes, |json| Merged { inner: json, captured, message }.$method($($arg,)* visitor))
                    }
                },
                Some(Given::Value(value)) => {
                    Strict::new(*value, json::Options::default()).$method($($arg,)* visitor).map_err(Trouble::Json)
                }
                Some(Given::Bytes(bytes)) => Raw(bytes).$method($($arg,)* visitor),
                Some(Given::Paths(paths)) => Paths(paths).$method($($arg,)* visitor),
                Some(Given::Text(_)) => Text { entries: self.entries }.$method($($arg,)* visitor),
                None => Fields::new(self).$method($($arg,)* visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Trouble;

    answer! {
        deserialize_any();
        deserialize_bool();
        deserialize_str();
        deserialize_string();
        deserialize_option();
        deserialize_seq();
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_newtype_struct(name: &'static str);
        deserialize_identifier();
        deserialize_unit();
        deserialize_ignored_any();
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf
        unit_struct tuple tuple_struct enum
    }
}

/// A message of which only fields are given.
struct Fields<'a, I> {
    node: Node<'a>,
    rest: I,
    value: Option<Node<'a>>,
}

impl<'a> Fields<'a, ()> {
    fn new(node: Node<'a>) -> Fields<'a, impl Iterator<Item = (&'static Field, Node<'a>)>> {
        Fields {
            node,
            rest: node.fields(),
            value: None,
        }
    }
}

impl<'de, I: Iterator<Item = (&'static Field, Node<'de>)>> Deserializer<'de> for Fields<'de, I> {
    type Error = Trouble;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_map(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_some(self.node)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, I: Iterator<Item = (&'static Field, Node<'de>)>> MapAccess<'de> for Fields<'de, I> {
    type Error = Trouble;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Trouble> {
        let Some((field, node)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(node);
        seed.deserialize(BorrowedStrDeserializer::new(field.json))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Trouble> {
        match self.value.take() {
            Some(node) => seed.deserialize(node),
            None => Err(Trouble::custom("a value was read before its name")),
        }
    }
}

/// Bytes for one field, which needs no base64 here.
struct Raw<'a>(&'a [u8]);

impl<'de> Deserializer<'de> for Raw<'de> {
    type Error = Trouble;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_borrowed_bytes(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_some(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The paths of a FieldMask, which need no conversion.
struct Paths<'a>(&'a [String]);

impl<'de> Deserializer<'de> for Paths<'de> {
    type Error = Trouble;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_seq(SeqDeserializer::new(self.0.iter().map(String::as_str)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_some(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Text for one field: one value, or several of a repeated field.
struct Text<'a> {
    entries: &'a [Entry<'a>],
}

impl<'a> Text<'a> {
    fn first(&self) -> Option<&'a str> {
        match &self.entries.first()?.given {
            Given::Text(text) => Some(text),
            Given::Json(_) | Given::Value(_) | Given::Bytes(_) | Given::Paths(_) => None,
        }
    }
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = Trouble;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        match self.first() {
            Some(text) => visitor.visit_borrowed_str(text),
            None => Err(Trouble::custom("no value")),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        match self.first() {
            Some("true") => visitor.visit_bool(true),
            Some("false") => visitor.visit_bool(false),
            other => Err(Trouble::Text(format!(
                "{:?} is neither true nor false",
                other.unwrap_or_default()
            ))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_seq(self)
    }

    /// Types whose JSON form is not that of a plain scalar say so by name.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        let text = self.first().unwrap_or_default();
        match name {
            json::ENUM => match <i32 as Numeric>::parse(text) {
                Some(number) => visitor.visit_i64(number.into()),
                None => visitor.visit_borrowed_str(text),
            },
            json::FIELD_MASK => visitor.visit_borrowed_str(text),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for Text<'de> {
    type Error = Trouble;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Trouble> {
        let Some((first, rest)) = self.entries.split_first() else {
            return Ok(None);
        };
        self.entries = rest;
        seed.deserialize(Text {
            entries: std::slice::from_ref(first),
        })
        .map(Some)
    }
}
