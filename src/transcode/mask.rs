//! The update mask of a PATCH: the one it names, held against the fields of the resource (AIP-161), or
//! the one it implies: the fields its body names, zero and null included.
//!
//! AIP-134 lets a service take the populated fields; a gateway sees more, because a key that is
//! present with `0`, `""` or `null` was meant too. What names a resource, bound by the path or an
//! IDENTIFIER, says which one to change, not what (AIP-203).

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::explain::{refusal, unknown};
use super::row::{Binding, Body, Field, Kind, Mask, Message};
use crate::fault::{Fault, shortened};

/// The paths of a mask that was given, in proto names. Fields go by either of their names; `*` alone
/// is all of them; nothing comes behind a repeated field or a map (`google/protobuf/field_mask.proto`).
///
/// # Errors
/// INVALID_ARGUMENT, naming the mask, where a path leads to no field.
pub fn explicit(mask: Mask, text: &str) -> Result<Vec<String>, Fault> {
    match text {
        "" => Ok(vec![]),
        "*" => Ok(vec!["*".to_owned()]),
        _ => text
            .split(',')
            .map(|path| {
                proto_path(mask.resource, path).map_err(|why| {
                    let path = shortened(path.to_owned(), LONGEST_PATH);
                    refusal(
                        "INVALID_UPDATE_MASK",
                        mask.field.json,
                        format!("`{path}`: {why}"),
                    )
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
pub fn implied(binding: &Binding, message: &'static Message, body: &[u8]) -> Option<Vec<String>> {
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

/// What the path binds inside the body, as ways from the resource. What it binds beside the body has
/// numbers of other messages, which say nothing here.
fn bound_inside(binding: &Binding) -> impl Iterator<Item = &'static [&'static Field]> {
    binding.captures.iter().filter_map(|capture| {
        let (first, rest) = capture.path.split_first()?;
        let is_inside = matches!(binding.body, Body::Field(body) if *first == body);
        is_inside.then_some(rest)
    })
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
        let mut bound = bound_inside(self.binding);
        if self.path.is_empty() || bound.any(|bound| bound.starts_with(self.path)) {
            return;
        }
        let names: Vec<&str> = self.path.iter().map(|field| field.name).collect();
        self.paths.push(names.join("."));
    }

    /// It names the resource, and is not to be changed: the path binds it, or it is an IDENTIFIER.
    fn names(&self, path: &[&'static Field]) -> bool {
        let is_identifier = path.last().is_some_and(|field| field.identifier);
        is_identifier || bound_inside(self.binding).any(|bound| bound == path)
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
        while let Some(key) = json.next_key::<String>()? {
            empty = false;
            let Some(field) = self.message.field(&key) else {
                json.next_value::<IgnoredAny>()?;
                continue;
            };
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
            Field::new(3, "owner", "owner", false, Kind::Message(&OWNER)),
        ],
    };

    static OWNER: Message = Message {
        name: "Owner",
        fields: &[Field::new(1, "name", "name", false, Kind::Text)],
    };

    const ROW: Binding = Binding {
        index: 0,
        rpc: "Service/Update",
        method: "PATCH",
        template: "/thing",
        segments: &[],
        verb: None,
        captures: &[],
        request: &REQUEST,
        body: Body::Field(&REQUEST.fields[0]),
        response_body: None,
        mask: Some(Mask {
            field: &REQUEST.fields[1],
            resource: &THING,
        }),
    };

    #[derive(Deserialize, Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Request {
        thing: serde_json::Value,
        update_mask: FieldMask,
        owner: Option<serde_json::Value>,
    }

    fn paths(query: Option<&str>, body: &str) -> Result<Vec<String>, String> {
        static PLAIN: Binding = ROW;
        paths_of(&PLAIN, query, body)
    }

    fn paths_of(
        row: &'static Binding,
        query: Option<&str>,
        body: &str,
    ) -> Result<Vec<String>, String> {
        let captures = row.captures.iter().map(|_| "owners/a");
        let request = bind::<Request>(row, captures, query, body.as_bytes());
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

    /// The first field of the owner has the number of the first of the thing, and is another.
    #[test]
    fn what_the_path_binds_beside_the_body_hides_nothing_in_it() {
        static BESIDE: Binding = Binding {
            captures: &[Capture {
                path: &[&REQUEST.fields[2], &OWNER.fields[0]],
                start: 0,
                end: 1,
                multi: true,
            }],
            ..ROW
        };
        for (body, expected) in [
            (r#"{"observedGeneration": 1}"#, "observedGeneration"),
            (
                r#"{"part3": {"observedGeneration": 1}, "observedGeneration": 2}"#,
                "part_3.observedGeneration,observedGeneration",
            ),
        ] {
            assert_eq!(paths_of(&BESIDE, None, body).unwrap().join(","), expected);
        }
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
