//! The update mask of a PATCH: the one it names, held against the fields of the resource (AIP-161), or
//! the one it implies: the fields its body names, zero and null included.
//!
//! AIP-134 lets a service take the populated fields; a gateway sees more, because a key that is
//! present with `0`, `""` or `null` was meant too. What names a resource, bound by the path or an
//! IDENTIFIER, says which one to change, not what (AIP-203).

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::explain::{refusal, shortened, unknown};
use super::row::{Binding, Body, Field, Kind, Message};
use crate::fault::Fault;

/// The message that a row's mask is about.
fn resource(binding: &Binding) -> Option<&'static Message> {
    match binding.body {
        Body::Field(Field {
            kind: Kind::Message(message),
            ..
        }) => Some(message),
        _ => None,
    }
}

/// The paths of a mask that was given, in proto names. Fields go by either of their names; `*` alone
/// is all of them; nothing comes behind a repeated field or a map (`google/protobuf/field_mask.proto`).
///
/// # Errors
/// INVALID_ARGUMENT, naming the mask, where a path leads to no field.
pub fn explicit(binding: &Binding, text: &str) -> Result<Vec<String>, Fault> {
    let (Some(resource), Some(mask)) = (resource(binding), binding.mask) else {
        return Ok(vec![]);
    };
    match text {
        "" => Ok(vec![]),
        "*" => Ok(vec!["*".to_owned()]),
        _ => text
            .split(',')
            .map(|path| {
                proto_path(resource, path).map_err(|why| {
                    let path = shortened(path.to_owned(), LONGEST_PATH);
                    refusal("INVALID_UPDATE_MASK", mask.json, format!("`{path}`: {why}"))
                })
            })
            .collect(),
    }
}

/// The longest path, in bytes, that an error shows whole.
const LONGEST_PATH: usize = 200;

/// A path in proto names.
fn proto_path(resource: &'static Message, path: &str) -> Result<String, String> {
    let mut proto = String::with_capacity(path.len() + 4);
    let mut message = Some(resource);
    for name in path.split('.') {
        let inside =
            message.ok_or("the field before the last dot has none that a mask can name")?;
        let field = inside.field(name).ok_or_else(|| {
            let known: Vec<&str> = inside.fields.iter().map(|field| field.json).collect();
            unknown("field", name, &known)
        })?;
        if !proto.is_empty() {
            proto.push('.');
        }
        proto.push_str(field.name);
        message = match field.kind {
            Kind::Message(message) if !field.repeated => Some(message),
            _ => None,
        };
    }
    Ok(proto)
}

/// The mask's paths in proto names; none where the body names no field to change. A body that is not JSON,
/// names a field twice or one that does not exist, is for the binding to refuse.
pub fn implied(binding: &Binding, body: &[u8]) -> Option<Vec<String>> {
    let message = resource(binding)?;
    let mut paths = vec![];
    let mut json = serde_json::Deserializer::from_slice(body);
    let keys = Keys {
        binding,
        message,
        path: &[],
        paths: &mut paths,
    };
    keys.deserialize(&mut json).ok()?;
    (!paths.is_empty()).then_some(paths)
}

/// Collects the paths of one message's keys, below `path`.
struct Keys<'a> {
    binding: &'a Binding,
    message: &'static Message,
    path: &'a [&'static Field],
    paths: &'a mut Vec<String>,
}

impl Keys<'_> {
    /// Adds the message or field itself, unless something inside it is not to be changed.
    fn push(&mut self) {
        let inside = |path: &[&Field]| {
            path.get(1..)
                .is_some_and(|path| path.starts_with(self.path))
        };
        let mut captures = self.binding.captures.iter();
        if captures.any(|capture| inside(capture.path)) || self.path.is_empty() {
            return;
        }
        let names: Vec<&str> = self.path.iter().map(|field| field.name).collect();
        self.paths.push(names.join("."));
    }

    /// It names the resource, and is not to be changed: the path binds it, or it is an IDENTIFIER.
    fn names(&self, path: &[&'static Field]) -> bool {
        let mut captures = self.binding.captures.iter();
        path.last().is_some_and(|field| field.identifier)
            || captures.any(|capture| capture.path.get(1..) == Some(path))
    }
}

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut json: A) -> Result<(), A::Error> {
        let mut empty = true;
        let mut seen: Vec<&Field> = vec![];
        while let Some(key) = json.next_key::<String>()? {
            empty = false;
            let Some(field) = self.message.field(&key) else {
                json.next_value::<IgnoredAny>()?;
                continue;
            };
            if seen.contains(&field) {
                return Err(A::Error::custom("a key came twice"));
            }
            seen.push(field);
            let path = [self.path, &[field]].concat();
            if self.names(&path) {
                json.next_value::<IgnoredAny>()?;
                continue;
            }
            let mut keys = Keys {
                binding: self.binding,
                message: self.message,
                path: &path,
                paths: self.paths,
            };
            match field.kind {
                Kind::Message(message) if !field.repeated => {
                    keys.message = message;
                    json.next_value_seed(keys)?;
                }
                _ => {
                    keys.push();
                    json.next_value::<IgnoredAny>()?;
                }
            }
        }
        if empty {
            self.push();
        }
        Ok(())
    }

    fn visit_unit<E>(mut self) -> Result<(), E> {
        self.push();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, json: A) -> Result<(), A::Error> {
        IgnoredAny.visit_seq(json).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::super::bind::bind;
    use super::super::row::Capture;
    use super::*;
    use crate::proto::wkt::FieldMask;

    static THING: Message = Message {
        name: "Thing",
        fields: &[
            Field::new(
                1,
                "observedGeneration",
                "observedGeneration",
                false,
                Kind::Text,
            ),
            Field::new(2, "part_3", "part3", false, Kind::Message(&THING)),
            Field::new(3, "name", "name", false, Kind::Text).identifier(),
        ],
    };

    static REQUEST: Message = Message {
        name: "Request",
        fields: &[
            Field::new(1, "thing", "thing", false, Kind::Message(&THING)),
            Field::new(2, "update_mask", "updateMask", false, Kind::Text),
        ],
    };

    static CAPTURES: [Capture; 0] = [];

    static ROW: Binding = Binding {
        rpc: "Service/Update",
        method: "PATCH",
        template: "/thing",
        segments: &[],
        verb: None,
        captures: &CAPTURES,
        request: &REQUEST,
        body: Body::Field(&REQUEST.fields[0]),
        response_body: None,
        mask: Some(&REQUEST.fields[1]),
    };

    #[derive(Deserialize, Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Request {
        thing: serde_json::Value,
        update_mask: FieldMask,
    }

    fn paths(query: Option<&str>, body: &str) -> Result<Vec<String>, String> {
        let request = bind::<Request>(&ROW, std::iter::empty(), query, body.as_bytes());
        let request = request.map_err(|fault| fault.to_string())?;
        Ok(request.update_mask.paths)
    }

    /// Neither of these names survives the way to the other case and back.
    #[test]
    fn names_are_those_of_the_proto_whatever_their_case() {
        let body = r#"{"observedGeneration": 1, "part3": {"observedGeneration": 2}}"#;
        let expected = ["observedGeneration", "part_3.observedGeneration"];
        assert_eq!(paths(None, body).unwrap(), expected);
        for query in [
            "updateMask=observedGeneration,part3.observedGeneration",
            "update_mask=observedGeneration,part_3.observedGeneration",
        ] {
            assert_eq!(paths(Some(query), body).unwrap(), expected, "{query}");
        }
    }

    #[test]
    fn what_names_a_resource_is_not_to_be_changed() {
        let named = r#"{"name": "a", "observedGeneration": 1, "part3": {"name": "b"}}"#;
        assert_eq!(paths(None, named).unwrap(), ["observedGeneration"]);
        // Whoever says so means it; what comes of it is the service's business.
        assert_eq!(paths(Some("updateMask=name"), named).unwrap(), ["name"]);
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for (path, why) in [
            ("part", "did you mean `part3`"),
            ("observedGeneration.x", "has none that a mask can name"),
            ("part3.", "no such field"),
            ("*,part3", "no such field"),
        ] {
            let error = paths(Some(&format!("updateMask={path}")), "{}").unwrap_err();
            assert!(
                error.starts_with("updateMask: `") && error.contains(why),
                "{error}"
            );
        }
        let long = format!("updateMask={}", "x".repeat(60_000));
        let error = paths(Some(&long), "{}").unwrap_err();
        assert!(error.len() < 1_000, "{} bytes", error.len());
    }
}
