//! How a field is read and written when its Rust type does not say it: an `i32` may be a number
//! or an enum, a `Vec<u8>` is base64, a 64-bit integer is a string. The code generator names the
//! kind of every field of every message; nothing here knows a message.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::alphabet;
use base64::display::Base64Display;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::de::{self, DeserializeSeed, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A way to read and write values of the Rust type `T`.
pub trait Kind<T> {
    /// True where JSON null is a value of its own and not an absent field.
    const NULL_IS_A_VALUE: bool = false;

    /// Reads one value; `None` is a value to be passed over (see [`ENUM`](super::ENUM)).
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error>;

    /// Writes one value.
    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error>;
}

/// What Rust's type says is enough: booleans, strings, messages.
pub struct Plain;

impl<T: Serialize + de::DeserializeOwned> Kind<T> for Plain {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        T::deserialize(deserializer).map(Some)
    }

    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }
}

/// As [`Plain`], for `google.protobuf.Value`, which null belongs to.
pub struct Nullable;

impl<T: Serialize + de::DeserializeOwned> Kind<T> for Nullable {
    const NULL_IS_A_VALUE: bool = true;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        Plain::read(deserializer)
    }

    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        Plain::write(value, serializer)
    }
}

/// Bytes as base64: written with the standard alphabet and padding; read with either alphabet,
/// padded or not.
pub struct Bytes;

impl Bytes {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, Self::LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, Self::LENIENT);
}

impl Kind<Vec<u8>> for Bytes {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        struct Base64;

        impl Visitor<'_> for Base64 {
            type Value = Vec<u8>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a base64 string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
                let engine = if text.contains(['-', '_']) {
                    Bytes::URL_SAFE
                } else {
                    Bytes::STANDARD
                };
                let decoded = engine.decode(text);
                decoded.map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            /// From what is not JSON: bytes as they are.
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }

        deserializer.deserialize_str(Base64).map(Some)
    }

    fn write<S: Serializer>(value: &Vec<u8>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(value, &STANDARD))
    }
}

/// Reads a field of the kind `K`; null leaves it unset.
pub struct Field<K, T>(PhantomData<(K, T)>);

impl<K, T> Field<K, T> {
    /// The seed for one field.
    #[expect(
        clippy::new_without_default,
        reason = "a seed is used up where it is made"
    )]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T, K: Kind<T>> DeserializeSeed<'de> for Field<K, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        if K::NULL_IS_A_VALUE {
            return K::read(deserializer);
        }
        deserializer.deserialize_option(self)
    }
}

impl<'de, T, K: Kind<T>> Visitor<'de> for Field<K, T> {
    type Value = Option<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value or null")
    }

    fn visit_none<E: de::Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        K::read(deserializer)
    }
}

/// A value that writes itself as the kind `K` says.
pub struct Written<'a, K, T>(&'a T, PhantomData<K>);

impl<'a, K, T> Written<'a, K, T> {
    /// The value to write.
    pub fn new(value: &'a T) -> Self {
        Self(value, PhantomData)
    }
}

impl<T, K: Kind<T>> Serialize for Written<'_, K, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        K::write(self.0, serializer)
    }
}

/// Notes that a field was given, and refuses the second time, whichever of its names was used and
/// also where a value was null.
pub fn once<E: de::Error>(seen: &mut bool, name: &'static str) -> Result<(), E> {
    if std::mem::replace(seen, true) {
        return Err(E::duplicate_field(name));
    }
    Ok(())
}

/// What is said, behind its name, of a second member of a oneof.
pub const ONE_OF_SEVERAL: &str = "is one of several fields of which only one may be given";

/// Sets a member of a oneof, unless it was null; a second member is refused.
pub fn member<T, E: de::Error>(
    oneof: &mut Option<T>,
    value: Option<T>,
    name: &'static str,
) -> Result<(), E> {
    if value.is_none() {
        return Ok(());
    }
    match std::mem::replace(oneof, value) {
        None => Ok(()),
        Some(_) => Err(E::custom(format_args!("`{name}` {ONE_OF_SEVERAL}"))),
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::super::testing::{read, write};
    use super::*;

    #[test]
    fn plain_values_are_not_converted() {
        assert_eq!(read::<Plain, bool>("true"), Ok(Some(true)));
        assert_eq!(
            read::<Plain, String>("\"\\u00e9\\n\""),
            Ok(Some("é\n".to_owned()))
        );
        for json in ["1", "\"true\"", "[]"] {
            assert!(read::<Plain, bool>(json).is_err(), "{json}");
        }
        for json in ["1", "true", "\"\\ud800\"", "\"\n\"", "'a'"] {
            assert!(read::<Plain, String>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for json in [
            "\"!!\"",
            "\"A\"",
            "\"AA=A\"",
            "\"-/\"",
            "\" AA\"",
            "\"AA====\"",
            "1",
            "[1]",
        ] {
            assert!(read::<Bytes, Vec<u8>>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_field_is_read_once() {
        let mut seen = false;
        assert!(once::<de::value::Error>(&mut seen, "a").is_ok());
        let error = once::<de::value::Error>(&mut seen, "a").unwrap_err();
        assert_eq!(error.to_string(), "duplicate field `a`");
    }

    #[test]
    fn one_member_of_a_oneof_is_set() {
        let mut oneof = None;
        for value in [None, Some(1), None] {
            assert!(member::<i32, de::value::Error>(&mut oneof, value, "a").is_ok());
        }
        assert_eq!(oneof, Some(1));
        let error = member::<i32, de::value::Error>(&mut oneof, Some(1), "b").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`b` is one of several fields"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn bytes_are_read_in_both_alphabets_padded_or_not(bytes: Vec<u8>) {
            for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
                let json = format!("\"{}\"", engine.encode(&bytes));
                prop_assert_eq!(read::<Bytes, _>(&json), Ok(Some(bytes.clone())), "{}", json);
            }
            prop_assert_eq!(write::<Bytes, _>(&bytes), format!("\"{}\"", STANDARD.encode(&bytes)));
        }
    }
}
