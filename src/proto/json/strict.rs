//! A thin layer around any deserializer: limits nesting, and passes over what is unknown where
//! the caller wants that. Knows no type of ours but the names under which enums and integers are asked for.

use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::number::read_integer;
use super::{ENUM, INTEGER, MAXIMUM_DEPTH, Options};

/// serde_json's reader of a text in memory.
pub type TextReader<'de> = serde_json::Deserializer<serde_json::de::SliceRead<'de>>;

/// Wraps a deserializer, and inside it every visitor, seed and access that a value is read
/// through: what is read below obeys the same rules.
pub struct Strict<'a, T> {
    inner: T,
    rules: Rules<'a>,
}

#[derive(Clone, Copy)]
struct Rules<'a> {
    options: Options,
    /// Arrays and objects that may still be opened.
    depth_left: usize,
    /// The names of the fields, inside a message.
    fields: Option<&'static [&'static str]>,
    /// True while an enum is asked for.
    enumeration: bool,
    /// The whole of the JSON text that is read, if it is one and not a value in memory.
    text: Option<&'a [u8]>,
}

impl<D> Strict<'_, D> {
    /// Reads from `inner` under the rules of the dialect.
    pub fn new(inner: D, options: Options) -> Self {
        let depth_left = MAXIMUM_DEPTH;
        Self {
            inner,
            rules: Rules {
                options,
                depth_left,
                fields: None,
                enumeration: false,
                text: None,
            },
        }
    }
}

impl<'a, 'de> Strict<'a, &'a mut TextReader<'de>> {
    /// As [`new`](Self::new), from the beginning of a JSON text, whose integers are read as they are
    /// written.
    pub fn of_text(inner: &'a mut TextReader<'de>, text: &'a [u8], options: Options) -> Self {
        let mut strict = Self::new(inner, options);
        strict.rules.text = Some(text);
        strict
    }
}

impl<'a> Rules<'a> {
    fn around<T>(self, inner: T) -> Strict<'a, T> {
        Strict { inner, rules: self }
    }

    /// The rules for what is inside an array, an object, or a wrapper around a value.
    fn for_children(self) -> Self {
        Self {
            fields: None,
            enumeration: false,
            ..self
        }
    }

    fn one_deeper<E: de::Error>(self) -> Result<Self, E> {
        let too_deep = || E::custom(format_args!("nested more than {MAXIMUM_DEPTH} levels deep"));
        let depth_left = self.depth_left.checked_sub(1).ok_or_else(too_deep)?;
        Ok(Self { depth_left, ..self })
    }
}

macro_rules! forward_deserialize {
    ($($method:ident($($argument:ident: $kind:ty),*))*) => { $(
        fn $method<V: Visitor<'de>>(
            self,
            $($argument: $kind,)*
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.inner.$method($($argument,)* self.rules.around(visitor))
        }
    )* };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<'_, D> {
    type Error = D::Error;

    forward_deserialize! {
        deserialize_any() deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char()
        deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
        deserialize_option() deserialize_unit() deserialize_unit_struct(name: &'static str)
        deserialize_seq() deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize)
        deserialize_map() deserialize_identifier() deserialize_ignored_any()
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        if let Some(text) = self.rules.text.filter(|_| name == INTEGER) {
            return read_integer(self.inner, text, visitor);
        }
        let rules = Rules {
            enumeration: name == ENUM,
            ..self.rules
        };
        self.inner
            .deserialize_newtype_struct(name, rules.around(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let rules = Rules {
            fields: Some(fields),
            ..self.rules
        };
        self.inner
            .deserialize_struct(name, fields, rules.around(visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! forward_visit {
    ($($method:ident($kind:ty))*) => { $(
        fn $method<E: de::Error>(self, value: $kind) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )* };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(formatter)
    }

    forward_visit! {
        visit_bool(bool) visit_char(char)
        visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128)
        visit_u8(u8) visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128)
        visit_f32(f32) visit_f64(f64)
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String)
        visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner
            .visit_some(self.rules.for_children().around(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let inner = self.rules.for_children().around(inner);
        if self.rules.enumeration && self.rules.options.ignore_unknown {
            return self.inner.visit_some(inner);
        }
        self.inner.visit_newtype_struct(inner)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<V::Value, A::Error> {
        self.inner
            .visit_seq(self.rules.one_deeper()?.around(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, pairs: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(self.rules.one_deeper()?.around(pairs))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(variant)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(self.rules.around(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.inner
            .next_element_seed(self.rules.for_children().around(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let Some(fields) = self
            .rules
            .fields
            .filter(|_| self.rules.options.ignore_unknown)
        else {
            return self.inner.next_key_seed(seed);
        };
        while let Some(key) = self.inner.next_key::<String>()? {
            if fields.contains(&key.as_str()) {
                return seed.deserialize(StringDeserializer::new(key)).map(Some);
            }
            self.inner.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner
            .next_value_seed(self.rules.for_children().around(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}
