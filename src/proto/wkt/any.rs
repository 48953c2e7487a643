//! `google.protobuf.Any`. JSON: the message it holds, with the key `@type` beside its fields.

use std::cell::Cell;

use prost::{Message, Name};
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Empty;
use crate::proto::json::{Buffer, Bytes, MAXIMUM_DEPTH, Written, lookup};

/// A message of any type, as bytes, with the name of its type.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Any {
    /// `type.googleapis.com/` and the full name of the message's type.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message in protobuf's binary form.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

impl Any {
    /// Holds a message.
    pub fn of<T: Message + Name>(message: &T) -> Self {
        Self {
            type_url: T::type_url(),
            value: message.encode_to_vec(),
        }
    }
}

impl Serialize for Any {
    /// A message of a type that is not registered, or that has no JSON form, is written as its
    /// bytes: `{"@type": ..., "value": "<base64>"}`. An `Any` in an error's details must never
    /// hide the error.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.type_url.is_empty() && self.value.is_empty() {
            return serializer.serialize_map(Some(0))?.end();
        }
        let shown = lookup(&self.type_url).and_then(|entry| {
            let text = nested(|| (entry.to_json)(&self.value))?;
            Some((entry.special, text))
        });
        match shown {
            None => self.with_value(&Written::<Bytes, _>::new(&self.value), serializer),
            Some((true, text)) => {
                let value = RawValue::from_string(text).map_err(S::Error::custom)?;
                self.with_value(&value, serializer)
            }
            Some((false, text)) => {
                let object = self.with_fields(&text).map_err(S::Error::custom)?;
                object.serialize(serializer)
            }
        }
    }
}

impl Any {
    /// Writes a value under a key of its own, beside the type.
    fn with_value<T: Serialize, S: Serializer>(
        &self,
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(2))?;
        object.serialize_entry("@type", &self.type_url)?;
        object.serialize_entry("value", value)?;
        object.end()
    }

    /// The text of an object, with the type as a further member before the others.
    fn with_fields(&self, object: &str) -> Result<Box<RawValue>, serde_json::Error> {
        let type_url = serde_json::to_string(&self.type_url)?;
        let separator = if object == "{}" { "" } else { "," };
        let members = object.strip_prefix('{').unwrap_or(object);
        RawValue::from_string(format!("{{\"@type\":{type_url}{separator}{members}"))
    }
}

/// Gives what the function gives, unless that many messages are being written inside each other
/// that the stack might not suffice: bytes inside bytes know no limit of their own.
fn nested<T>(write: impl FnOnce() -> Option<T>) -> Option<T> {
    thread_local! {
        static DEPTH: Cell<usize> = const { Cell::new(0) };
    }

    let depth = DEPTH.get();
    if depth == MAXIMUM_DEPTH {
        return None;
    }
    DEPTH.set(depth + 1);
    let written = write();
    DEPTH.set(depth);
    written
}

impl<'de> Deserialize<'de> for Any {
    /// Refuses types that are not registered.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Buffer::object(deserializer)?;
        let type_url = match fields.remove("@type") {
            Some(Value::String(type_url)) => type_url,
            None if fields.is_empty() => return Ok(Self::default()),
            _ => {
                return Err(de::Error::custom(
                    "`@type` must be the URL of a message type",
                ));
            }
        };
        let Some(entry) = lookup(&type_url) else {
            return Err(de::Error::custom(format_args!(
                "unknown message type {type_url:?}; the type URL must end in /package.Message of a type \
                 that this server knows"
            )));
        };
        // Empty is one of the messages with a form of their own, as Go writes it; others leave it out.
        let is_empty = type_url
            .rsplit_once('/')
            .is_some_and(|(_, name)| name == Empty::full_name());
        if is_empty && fields.get("value") == Some(&Value::Object(Map::new())) {
            fields.remove("value");
        }
        let message = match (entry.special, fields.len()) {
            (false, _) => Some(Value::Object(fields)),
            (true, 1) => fields.remove("value"),
            (true, _) => None,
        };
        let Some(message) = message else {
            let reason = format_args!("{type_url:?} takes the key `value` and no other");
            return Err(de::Error::custom(reason));
        };
        let value = (entry.from_json)(message).map_err(de::Error::custom)?;
        Ok(Self { type_url, value })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{StringValue, Struct, Timestamp};
    use super::*;
    use crate::proto::json::{self, from_slice, to_vec};

    /// A message with fields, for the registry.
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    struct Shelf {
        #[prost(string, tag = "1")]
        zone: String,
        #[prost(int32, tag = "2")]
        level: i32,
    }

    impl Name for Shelf {
        const NAME: &'static str = "Shelf";
        const PACKAGE: &'static str = "any.tests";
    }

    fn shelf() -> Any {
        json::register::<Shelf>();
        Any::of(&Shelf {
            zone: "A".to_owned(),
            level: 2,
        })
    }

    fn written(any: &Any) -> String {
        String::from_utf8(to_vec(any).unwrap()).unwrap()
    }

    fn read(json: &str) -> Result<Any, String> {
        from_slice(json.as_bytes(), json::Options::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_message_keeps_its_fields_and_their_order() {
        let json = "{\"@type\":\"/any.tests.Shelf\",\"zone\":\"A\",\"level\":2}";
        assert_eq!(written(&shelf()), json);
        assert_eq!(read(json), Ok(shelf()));
        let type_last = "{\"zone\":\"A\",\"level\":2,\"@type\":\"/any.tests.Shelf\"}";
        assert_eq!(read(type_last), Ok(shelf()));
    }

    #[test]
    fn a_special_form_stands_under_value() {
        let cases = [
            (
                Any::of(&Timestamp {
                    seconds: 0,
                    nanos: 0,
                }),
                "Timestamp",
                "\"1970-01-01T00:00:00Z\"",
            ),
            (
                Any::of(&StringValue {
                    value: "a\"".to_owned(),
                }),
                "StringValue",
                "\"a\\\"\"",
            ),
            (Any::of(&Struct::default()), "Struct", "{}"),
        ];
        for (any, name, value) in cases {
            let json = format!(
                "{{\"@type\":\"type.googleapis.com/google.protobuf.{name}\",\"value\":{value}}}"
            );
            assert_eq!(written(&any), json);
            assert_eq!(read(&json), Ok(any));
        }
    }

    #[test]
    fn an_empty_message_is_its_type_alone() {
        let json = "{\"@type\":\"type.googleapis.com/google.protobuf.Empty\"}";
        assert_eq!(written(&Any::of(&Empty {})), json);
        assert_eq!(read(json), Ok(Any::of(&Empty {})));
        // Go writes it so.
        let go = r#"{"@type":"type.googleapis.com/google.protobuf.Empty","value":{}}"#;
        assert_eq!(read(go), Ok(Any::of(&Empty {})));
        for more in [r#"{"a":1}"#, "null", "1"] {
            assert!(
                read(&go.replace(":{}", &format!(":{more}"))).is_err(),
                "{more}"
            );
        }
        assert!(read(&go.replace("}}", "},\"a\":1}")).is_err());
        assert_eq!(written(&Any::default()), "{}");
        assert_eq!(read("{}"), Ok(Any::default()));
    }

    #[test]
    fn what_cannot_be_shown_is_written_as_bytes() {
        let unknown = Any {
            type_url: "x/any.tests.Unknown".to_owned(),
            value: vec![1, 2],
        };
        let json = "{\"@type\":\"x/any.tests.Unknown\",\"value\":\"AQI=\"}";
        assert_eq!(written(&unknown), json);
        let broken = Any {
            value: vec![0xff],
            ..shelf()
        };
        assert_eq!(
            written(&broken),
            "{\"@type\":\"/any.tests.Shelf\",\"value\":\"/w==\"}"
        );
        let no_form = Any::of(&Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        });
        assert!(
            written(&no_form).contains("\"value\":\"CP"),
            "{}",
            written(&no_form)
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        shelf();
        for json in [
            "{\"zone\":\"A\"}",
            "{\"@type\":1}",
            "{\"@type\":\"any.tests.Shelf\",\"zone\":\"A\"}",
            "{\"@type\":\"/any.tests.Unknown\"}",
            "{\"@type\":\"/any.tests.Shelf\",\"@type\":\"/any.tests.Shelf\"}",
            "{\"@type\":\"/any.tests.Shelf\",\"zone\":1}",
            "{\"@type\":\"/google.protobuf.Timestamp\"}",
            "{\"@type\":\"/google.protobuf.BoolValue\",\"value\":true,\"more\":true}",
            "{\"@type\":\"/google.protobuf.Struct\",\"value\":{\"a\":{\"b\":1,\"b\":2}}}",
            "[]",
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn messages_inside_messages_end_before_the_stack_does() {
        let mut any = shelf();
        for _ in 0..10_000 {
            any = Any::of(&any);
        }
        let json = written(&any);
        assert_eq!(json.matches("@type").count(), MAXIMUM_DEPTH + 1);
        let open = json.trim_end_matches('}');
        assert!(open.ends_with('"'), "the innermost is written as bytes");
        assert!(
            read(&json).unwrap_err().contains("nested more than"),
            "one level too many"
        );
    }

    /// Two messages of protobuf are one level of JSON, and prost reads a hundred of them.
    #[test]
    fn what_could_not_be_shown_again_is_refused() {
        let list = |depth| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!("{{\"@type\":\"/google.protobuf.Value\",\"value\":{open}{close}}}")
        };
        assert_eq!(written(&read(&list(40)).unwrap()), list(40));
        let error = read(&list(60)).unwrap_err();
        assert!(error.contains("recursion limit"), "{error}");
    }

    #[test]
    fn the_deepest_that_is_allowed_is_read() {
        let mut any = shelf();
        for _ in 1..MAXIMUM_DEPTH {
            any = Any::of(&any);
        }
        let json = written(&any);
        assert_eq!(read(&json), Ok(any));
    }
}
