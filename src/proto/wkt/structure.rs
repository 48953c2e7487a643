//! `google.protobuf.Struct`, `Value`, `ListValue` and `NullValue`: any JSON, as itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};

use crate::proto::json::{self, Kind as _, LIST_VALUE, VALUE};

/// A JSON object.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Struct {
    /// Its members.
    #[prost(btree_map = "string, message", tag = "1")]
    pub fields: BTreeMap<String, Value>,
}

/// A JSON array.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListValue {
    /// Its elements.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// A JSON value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// The value; one without a kind is written as null.
    #[prost(oneof = "value::Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<value::Kind>,
}

/// What a [`Value`] holds.
pub mod value {
    /// One of JSON's kinds of value.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// null.
        #[prost(enumeration = "super::NullValue", tag = "1")]
        NullValue(i32),
        /// A number; NaN and the infinities have no JSON form here.
        #[prost(double, tag = "2")]
        NumberValue(f64),
        /// A string.
        #[prost(string, tag = "3")]
        StringValue(String),
        /// true or false.
        #[prost(bool, tag = "4")]
        BoolValue(bool),
        /// An object.
        #[prost(message, tag = "5")]
        StructValue(super::Struct),
        /// An array.
        #[prost(message, tag = "6")]
        ListValue(super::ListValue),
    }
}

use value::Kind;

/// The one value of the enum behind JSON null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum NullValue {
    /// null.
    NullValue = 0,
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

impl Serialize for Struct {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.fields)
    }
}

impl Serialize for ListValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.values)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.kind {
            None | Some(Kind::NullValue(_)) => serializer.serialize_unit(),
            Some(Kind::NumberValue(number)) if number.is_finite() => {
                serializer.serialize_f64(*number)
            }
            Some(Kind::NumberValue(number)) => Err(S::Error::custom(format_args!(
                "a value holds {number}, which JSON cannot"
            ))),
            Some(Kind::StringValue(text)) => serializer.serialize_str(text),
            Some(Kind::BoolValue(truth)) => serializer.serialize_bool(*truth),
            Some(Kind::StructValue(object)) => object.serialize(serializer),
            Some(Kind::ListValue(list)) => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Struct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = json::Map::<json::Nullable>::read(deserializer)?.unwrap_or_default();
        Ok(Self { fields })
    }
}

impl<'de> Deserialize<'de> for ListValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = ListValue;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<ListValue, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = elements.next_element()? {
                    values.push(value);
                }
                Ok(ListValue { values })
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                inner: D,
            ) -> Result<ListValue, D::Error> {
                inner.deserialize_seq(self)
            }
        }

        deserializer.deserialize_newtype_struct(LIST_VALUE, ListVisitor)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(VALUE, ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Kind::NullValue(NullValue::NullValue.into()).into())
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Value, E> {
        Ok(Kind::BoolValue(truth).into())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Kind::NumberValue(number as f64).into())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(Kind::NumberValue(number as f64).into())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Kind::NumberValue(number).into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        Ok(Kind::StringValue(text).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Value, A::Error> {
        let list = ListValue::deserialize(de::value::SeqAccessDeserializer::new(elements))?;
        Ok(Kind::ListValue(list).into())
    }

    fn visit_map<A: MapAccess<'de>>(self, pairs: A) -> Result<Value, A::Error> {
        let object = Struct::deserialize(de::value::MapAccessDeserializer::new(pairs))?;
        Ok(Kind::StructValue(object).into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::json::{Options, from_slice, to_vec};

    fn value(json: &str) -> Result<Value, String> {
        from_slice(json.as_bytes(), Options::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn json_is_itself() {
        let json = "{\"a\":[1.0,null,true,\"x\",{}],\"b\":{\"c\":[]}}";
        assert_eq!(to_vec(&value(json).unwrap()).unwrap(), json.as_bytes());
        assert_eq!(value("null"), Ok(Kind::NullValue(0).into()));
        assert_eq!(value("-5"), Ok(Kind::NumberValue(-5.0).into()));
        assert_eq!(
            value("18446744073709551615"),
            Ok(Kind::NumberValue(u64::MAX as f64).into())
        );
    }

    #[test]
    fn a_struct_is_an_object_and_a_list_an_array() {
        for json in ["[]", "1", "null", "\"a\""] {
            assert!(
                from_slice::<Struct>(json.as_bytes(), Options::default()).is_err(),
                "{json}"
            );
        }
        for json in ["{}", "1", "null", "\"a\""] {
            assert!(
                from_slice::<ListValue>(json.as_bytes(), Options::default()).is_err(),
                "{json}"
            );
        }
    }

    #[test]
    fn a_key_comes_once() {
        let error = value("{\"a\":{\"b\":1,\"c\":2,\"b\":1}}").unwrap_err();
        assert!(
            error.starts_with("the key \"b\" is given more than once at line 1"),
            "{error}"
        );
    }

    #[test]
    fn what_json_cannot_hold_is_not_written() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(
                to_vec(&Value::from(Kind::NumberValue(number))).is_err(),
                "{number}"
            );
        }
        assert_eq!(to_vec(&Value { kind: None }).unwrap(), b"null");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Kind::NullValue(0)),
            any::<bool>().prop_map(Kind::BoolValue),
            (proptest::num::f64::NORMAL | proptest::num::f64::ZERO).prop_map(Kind::NumberValue),
            any::<String>().prop_map(Kind::StringValue),
        ];
        leaf.prop_map(Value::from)
            .prop_recursive(4, 32, 4, |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 0..4)
                        .prop_map(|values| Kind::ListValue(ListValue { values })),
                    prop::collection::btree_map(any::<String>(), inner, 0..4)
                        .prop_map(|fields| Kind::StructValue(Struct { fields })),
                ]
                .prop_map(Value::from)
            })
    }

    proptest! {
        #[test]
        fn values_survive_the_round_trip(value in any_value()) {
            let json = to_vec(&value).unwrap();
            prop_assert_eq!(from_slice::<Value>(&json, Options::default()).unwrap(), value);
        }
    }
}
