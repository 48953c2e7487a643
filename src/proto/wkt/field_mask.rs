//! `google.protobuf.FieldMask`. JSON: one string, paths in lowerCamelCase between commas.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};

use crate::proto::json::FIELD_MASK;

/// Field paths in the names of the proto: `lease.begin_time`. A path `*` stands for all fields.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FieldMask {
    /// The paths, in the order given.
    #[prost(string, repeated, tag = "1")]
    pub paths: Vec<String>,
}

impl FieldMask {
    /// Reads paths in lowerCamelCase, as ProtoJSON has them. `None` where one has an underscore, or
    /// could not be written again.
    pub fn from_camel_case(text: &str) -> Option<Self> {
        (!text.contains('_')).then(|| Self::from_either_case(text))?
    }

    /// Reads paths in lowerCamelCase or snake_case, as people write them into URLs. `None` where one
    /// could not be written again: what has no JSON form must not come in either.
    pub fn from_either_case(text: &str) -> Option<Self> {
        let paths = text.split(',').filter(|_| !text.is_empty()).map(|path| {
            let path = snake_case(path);
            push_camel_case(&mut String::new(), &path).map(|()| path)
        });
        let paths = paths.collect::<Option<_>>()?;
        Some(Self { paths })
    }
}

fn snake_case(path: &str) -> String {
    let mut snake = String::with_capacity(path.len() + 4);
    for character in path.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

/// Adds the lowerCamelCase form of a path, or gives `None` where the way back would not lead to
/// the same path: an upper-case letter, an underscore with no lower-case letter after it, a comma,
/// nothing at all.
fn push_camel_case(camel: &mut String, path: &str) -> Option<()> {
    let mut after_underscore = false;
    for character in path.chars() {
        match character {
            'a'..='z' if after_underscore => camel.push(character.to_ascii_uppercase()),
            _ if after_underscore => return None,
            'A'..='Z' | ',' => return None,
            '_' => {}
            _ => camel.push(character),
        }
        after_underscore = character == '_';
    }
    (!after_underscore && !path.is_empty()).then_some(())
}

impl Serialize for FieldMask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        for (index, path) in self.paths.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            push_camel_case(&mut text, path).ok_or_else(|| {
                S::Error::custom(format_args!(
                    "the field mask path {path:?} has no JSON form"
                ))
            })?;
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for FieldMask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(FIELD_MASK, FromUrl)
    }
}

/// Takes either spelling, or paths as they are, unless it is led to a JSON value.
struct FromUrl;

impl<'de> Visitor<'de> for FromUrl {
    type Value = FieldMask;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("field paths between commas")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FieldMask, E> {
        FieldMask::from_either_case(text)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<FieldMask, A::Error> {
        let mut paths = vec![];
        while let Some(path) = names.next_element()? {
            paths.push(path);
        }
        Ok(FieldMask { paths })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<FieldMask, D::Error> {
        inner.deserialize_str(FromJson)
    }
}

struct FromJson;

impl Visitor<'_> for FromJson {
    type Value = FieldMask;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("field paths in lowerCamelCase between commas")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FieldMask, E> {
        FieldMask::from_camel_case(text)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IntoDeserializer;

    use super::*;
    use crate::proto::json::{Options, from_slice, to_vec};

    fn mask(paths: &[&str]) -> FieldMask {
        FieldMask {
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
        }
    }

    fn read(json: &str) -> Option<FieldMask> {
        from_slice(json.as_bytes(), Options::default()).ok()
    }

    #[test]
    fn json_is_lower_camel_case() {
        for (json, paths) in [
            ("\"\"", &[][..]),
            ("\"foo\"", &["foo"]),
            (
                "\"beginTime,lease.endTime\"",
                &["begin_time", "lease.end_time"],
            ),
            ("\"*\"", &["*"]),
            ("\"a1B2\"", &["a1_b2"]),
        ] {
            assert_eq!(read(json), Some(mask(paths)), "{json}");
            assert_eq!(to_vec(&mask(paths)).unwrap(), json.as_bytes(), "{json}");
        }
        for json in [
            "\"begin_time\"",
            "\"foo,bar_baz\"",
            "\"_\"",
            "\",\"",
            "\"foo,\"",
            "\"a,,b\"",
            "[\"foo\"]",
            "1",
            "null",
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn a_url_may_have_either_case() {
        let from_url = |text: &str| {
            let text = IntoDeserializer::<de::value::Error>::into_deserializer(text);
            FieldMask::deserialize(text).ok()
        };
        for (text, paths) in [
            ("begin_time,endTime", &["begin_time", "end_time"][..]),
            ("lease.begin_time", &["lease.begin_time"]),
            ("*", &["*"]),
            ("", &[]),
        ] {
            assert_eq!(from_url(text), Some(mask(paths)), "{text}");
        }
        // No JSON text would lead to these paths.
        for text in [",", "foo,", "a,,b", "foo__bar", "foo_", "_", "foo_3"] {
            assert_eq!(from_url(text), None, "{text}");
        }
    }

    #[test]
    fn paths_that_would_come_back_different_are_not_written() {
        for path in [
            "",
            "fooBar",
            "foo__bar",
            "foo_3_bar",
            "foo_",
            "_",
            "foo_Bar",
            "foo_.bar",
            "a,b",
        ] {
            let error = to_vec(&mask(&["fine", path])).unwrap_err().to_string();
            assert!(error.contains(&format!("{path:?}")), "{path}: {error}");
        }
    }

    proptest! {
        #[test]
        fn masks_survive_the_round_trip(
            paths in prop::collection::vec("[a-z][a-z0-9]{0,3}(_[a-z][a-z0-9]{0,3}){0,2}([.][a-z]{1,3}){0,2}", 0..4),
        ) {
            let mask = FieldMask { paths };
            let json = to_vec(&mask).unwrap();
            prop_assert!(!json.contains(&b'_'));
            prop_assert_eq!(from_slice::<FieldMask>(&json, Options::default()).unwrap(), mask);
        }

        /// Either the text is refused, or writing what was read gives the same mask again.
        #[test]
        fn what_is_written_is_read_back(path in "[a-cA-C0-1_.,*]{0,6}") {
            let mask = FieldMask { paths: vec![path] };
            if let Ok(json) = to_vec(&mask) {
                let back: FieldMask = from_slice(&json, Options::default()).unwrap();
                prop_assert_eq!(back, mask);
            }
        }
    }
}
