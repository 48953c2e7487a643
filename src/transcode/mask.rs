//! The update mask that a PATCH implies: the fields its body names, zero and null included.
//!
//! AIP-134 lets a service take the populated fields; a gateway sees more, because a key that is
//! present with `0`, `""` or `null` was meant too.

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::row::{Binding, Body, Field, Kind, Message};

/// The mask's paths in proto names, joined by commas; none where the body names no field. A body
/// that is not JSON, names a field twice or one that does not exist, is for the binding to refuse.
pub fn implied(binding: &Binding, body: &[u8]) -> Option<String> {
    let Body::Field(Field {
        kind: Kind::Message(message),
        ..
    }) = binding.body
    else {
        return None;
    };
    let mut paths = vec![];
    let mut json = serde_json::Deserializer::from_slice(body);
    let keys = Keys {
        binding,
        message,
        path: &[],
        paths: &mut paths,
    };
    keys.deserialize(&mut json).ok()?;
    (!paths.is_empty()).then(|| paths.join(","))
}

/// Collects the paths of one message's keys, below `path`.
struct Keys<'a> {
    binding: &'a Binding,
    message: &'static Message,
    path: &'a [&'static Field],
    paths: &'a mut Vec<String>,
}

impl Keys<'_> {
    fn push(&mut self) {
        let names: Vec<&str> = self.path.iter().map(|field| field.name).collect();
        if !names.is_empty() {
            self.paths.push(names.join("."));
        }
    }

    /// The path binds it: it names the resource and is not to be changed.
    fn bound(&self, path: &[&'static Field]) -> bool {
        self.binding
            .captures
            .iter()
            .any(|capture| capture.path.get(1..) == Some(path))
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
            if self.bound(&path) {
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
