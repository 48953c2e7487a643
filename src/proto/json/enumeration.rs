//! Enums, which are open in proto3: a number without a name is a value like any other. Knows no
//! enum but `NullValue`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use super::number::NumberVisitor;
use super::{ENUM, Kind};

/// An open enum, held as its number: written by name, or as the number where this build knows no
/// name for it; read from either.
pub struct Enum<E>(PhantomData<E>);

impl<E> Kind<i32> for Enum<E>
where
    E: TryFrom<i32> + Into<i32> + Serialize + de::DeserializeOwned,
{
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
        let pass_over_unknown = false;
        let visitor = EnumVisitor::<E> {
            pass_over_unknown,
            values: PhantomData,
        };
        deserializer.deserialize_newtype_struct(ENUM, visitor)
    }

    fn write<S: Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        match E::try_from(*value) {
            Ok(named) => named.serialize(serializer),
            Err(_) => serializer.serialize_i32(*value),
        }
    }
}

struct EnumVisitor<E> {
    pass_over_unknown: bool,
    values: PhantomData<E>,
}

impl<'de, V: Into<i32> + Deserialize<'de>> Visitor<'de> for EnumVisitor<V> {
    type Value = Option<i32>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name or the number of an enum value")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Option<i32>, E> {
        match V::deserialize(name.into_deserializer()) {
            Ok(value) => Ok(Some(value.into())),
            Err::<_, E>(_) if self.pass_over_unknown => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Option<i32>, E> {
        NumberVisitor(PhantomData).visit_i64(number).map(Some)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<i32>, E> {
        NumberVisitor(PhantomData).visit_u64(number).map(Some)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Option<i32>, E> {
        NumberVisitor(PhantomData).visit_f64(number).map(Some)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_any(Self {
            pass_over_unknown: true,
            ..self
        })
    }
}

/// `google.protobuf.NullValue`: null in both directions; its name and its number are read too.
pub struct Null;

impl Kind<i32> for Null {
    const NULL_IS_A_VALUE: bool = true;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
        struct NullVisitor;

        impl<'de> Visitor<'de> for NullVisitor {
            type Value = i32;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("null")
            }

            fn visit_unit<E: de::Error>(self) -> Result<i32, E> {
                Ok(0)
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<i32, E> {
                match name {
                    "NULL_VALUE" => Ok(0),
                    _ => Err(E::invalid_value(de::Unexpected::Str(name), &self)),
                }
            }

            /// Written, any other number would become null.
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<i32, E> {
                match number {
                    0 => Ok(0),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<i32, E> {
                match number {
                    0 => Ok(0),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<i32, E> {
                self.visit_i64(NumberVisitor(PhantomData).visit_f64(number)?)
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<i32, D::Error> {
                inner.deserialize_any(self)
            }

            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<i32, D::Error> {
                inner.deserialize_any(self)
            }
        }

        deserializer
            .deserialize_newtype_struct(ENUM, NullVisitor)
            .map(Some)
    }

    fn write<S: Serializer>(_: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::super::testing::{read, read_with, write};
    use super::super::{List, Map, Options};
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, prost::Enumeration, Serialize, Deserialize)]
    #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
    #[repr(i32)]
    enum Color {
        ColorUnspecified = 0,
        ColorRed = 1,
    }

    type Colors = std::collections::BTreeMap<String, i32>;

    #[test]
    fn a_name_or_a_number_is_read() {
        for json in ["\"COLOR_RED\"", "1", "1.0", "1e0"] {
            assert_eq!(read::<Enum<Color>, _>(json), Ok(Some(1)), "{json}");
        }
        for json in ["99", "-1", "2147483647"] {
            assert_eq!(
                read::<Enum<Color>, _>(json),
                Ok(json.parse().ok()),
                "{json}"
            );
        }
        for json in [
            "\"color_red\"",
            "\"PURPLE\"",
            "\"1\"",
            "1.5",
            "2147483648",
            "true",
            "[]",
        ] {
            assert!(read::<Enum<Color>, _>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_unknown_name_is_shown_with_the_known_ones() {
        let error = read::<Enum<Color>, _>("\"PURPLE\"").unwrap_err();
        let expected = "unknown variant `PURPLE`, expected `COLOR_UNSPECIFIED` or `COLOR_RED`";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn an_unknown_number_is_written_as_it_came() {
        assert_eq!(
            write::<List<Enum<Color>>, _>(&vec![0, 1, 99]),
            "[\"COLOR_UNSPECIFIED\",\"COLOR_RED\",99]"
        );
    }

    #[test]
    fn unknown_names_are_passed_over_on_request() {
        let options = Options {
            ignore_unknown: true,
        };
        assert_eq!(read_with::<Enum<Color>, _>("\"PURPLE\"", options), Ok(None));
        let list = read_with::<List<Enum<Color>>, _>("[\"PURPLE\", \"COLOR_RED\", 7]", options);
        assert_eq!(list, Ok(Some(vec![1, 7])));
        let map = read_with::<Map<Enum<Color>>, Colors>("{\"a\": \"PURPLE\", \"b\": 1}", options);
        assert_eq!(map, Ok(Some(Colors::from([("b".to_owned(), 1)]))));
        for json in ["{}", "[]", "true", "1.5"] {
            assert!(
                read_with::<Enum<Color>, _>(json, options).is_err(),
                "{json}"
            );
        }
    }

    /// A deserializer for URLs has no JSON value to lead the visitor to.
    #[test]
    fn a_deserializer_may_answer_at_once() {
        fn answer<'de>(given: impl IntoDeserializer<'de, de::value::Error>) -> Option<i32> {
            Enum::<Color>::read(given.into_deserializer()).unwrap()
        }
        assert_eq!(answer("COLOR_RED"), Some(1));
        assert_eq!(answer(5_u64), Some(5));
    }

    #[test]
    fn null_value_is_null() {
        assert_eq!(write::<List<Null>, _>(&vec![0, 0]), "[null,null]");
        for json in ["null", "\"NULL_VALUE\"", "0", "0.0"] {
            assert_eq!(read::<Null, _>(json), Ok(Some(0)), "{json}");
        }
        for json in ["\"null\"", "false", "{}", "1.5", "1", "-1", "\"0\""] {
            assert!(read::<Null, _>(json).is_err(), "{json}");
        }
    }
}
