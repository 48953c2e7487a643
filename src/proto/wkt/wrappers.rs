//! `google.protobuf.Empty`, and the wrappers: a scalar with presence. JSON: the scalar itself.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::proto::json::{Bytes, Kind, Number, Plain};

/// A message without fields. JSON: `{}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Empty {}

impl Serialize for Empty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .serialize_struct("google.protobuf.Empty", 0)?
            .end()
    }
}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EmptyVisitor;

        impl<'de> Visitor<'de> for EmptyVisitor {
            type Value = Empty;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an empty object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Empty, A::Error> {
                match pairs.next_key::<String>()? {
                    None => Ok(Empty {}),
                    Some(key) => Err(de::Error::unknown_field(&key, &[])),
                }
            }
        }

        deserializer.deserialize_struct("google.protobuf.Empty", &[], EmptyVisitor)
    }
}

macro_rules! wrapper {
    ($($wrapper:ident($scalar:ty) as $kind:ty, #[prost($($prost:tt)*)];)*) => { $(
        #[doc = concat!("Holds a `", stringify!($scalar), "`.")]
        #[derive(Clone, PartialEq, prost::Message)]
        pub struct $wrapper {
            /// What it holds.
            #[prost($($prost)*, tag = "1")]
            pub value: $scalar,
        }

        impl From<$scalar> for $wrapper {
            fn from(value: $scalar) -> Self {
                Self { value }
            }
        }

        impl Serialize for $wrapper {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$kind>::write(&self.value, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $wrapper {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value: Option<$scalar> = <$kind>::read(deserializer)?;
                Ok(value.unwrap_or_default().into())
            }
        }
    )* };
}

wrapper! {
    DoubleValue(f64) as Number, #[prost(double)];
    FloatValue(f32) as Number, #[prost(float)];
    Int64Value(i64) as Number, #[prost(int64)];
    UInt64Value(u64) as Number, #[prost(uint64)];
    Int32Value(i32) as Number, #[prost(int32)];
    UInt32Value(u32) as Number, #[prost(uint32)];
    BoolValue(bool) as Plain, #[prost(bool)];
    StringValue(String) as Plain, #[prost(string)];
    BytesValue(Vec<u8>) as Bytes, #[prost(bytes = "vec")];
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;
    use crate::proto::json::{Options, from_slice, to_vec};

    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(wrapper: &T, json: &str) {
        assert_eq!(to_vec(wrapper).unwrap(), json.as_bytes(), "{wrapper:?}");
        let back: T = from_slice(json.as_bytes(), Options::default()).unwrap();
        assert_eq!(&back, wrapper, "{json}");
        let inside = format!("{{\"value\":{json}}}");
        assert!(
            from_slice::<T>(inside.as_bytes(), Options::default()).is_err(),
            "{inside}"
        );
    }

    #[test]
    fn a_wrapper_is_its_value() {
        check(
            &DoubleValue {
                value: f64::INFINITY,
            },
            "\"Infinity\"",
        );
        check(&FloatValue { value: 0.1 }, "0.1");
        check(&Int64Value { value: i64::MIN }, "\"-9223372036854775808\"");
        check(&UInt64Value { value: 5 }, "\"5\"");
        check(&Int32Value { value: -5 }, "-5");
        check(&UInt32Value { value: 5 }, "5");
        check(&BoolValue { value: false }, "false");
        check(
            &StringValue {
                value: String::new(),
            },
            "\"\"",
        );
        check(&BytesValue { value: vec![0xfb] }, "\"+w==\"");
    }

    #[test]
    fn an_empty_message_has_no_fields() {
        assert_eq!(to_vec(&Empty {}).unwrap(), b"{}");
        for (json, ignore_unknown, fits) in [
            ("{}", false, true),
            ("{\"a\":1}", false, false),
            ("{\"a\":1}", true, true),
            ("[]", true, false),
            ("null", true, false),
        ] {
            let read = from_slice::<Empty>(json.as_bytes(), Options { ignore_unknown });
            assert_eq!(read.is_ok(), fits, "{json}, ignoring: {ignore_unknown}");
        }
    }
}
