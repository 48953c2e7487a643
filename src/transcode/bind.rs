//! From a matched request to a typed message: what the path captured, what the query says and what
//! the body holds are laid out by field, and the message's own `Deserialize` reads them, asking for
//! the types it wants.
//!
//! One dialect, ProtoJSON, for all three. A field given twice is refused, but for equal values in
//! path and body (AIP-127); so is a name that no field has.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::explain::{explain, invalid, unknown};
use super::fields::{Entry, Given, Node, Trouble};
use super::mask;
use super::matcher::decode;
use super::row::{Binding, Body, Field, Kind, Message};
use crate::fault::Fault;
use crate::proto::json::{self, MAXIMUM_DEPTH};

/// Binds a request. `captures` are the raw texts of the row's captures, `query` is the raw query
/// string, `body` the whole body, of which it is known that it calls itself JSON if it is not empty.
///
/// # Errors
/// INVALID_ARGUMENT, naming the field by its JSON path or the query parameter.
pub fn bind<'a, M: DeserializeOwned + Serialize>(
    binding: &'static Binding,
    captures: impl Iterator<Item = &'a str>,
    query: Option<&'a str>,
    body: &'a [u8],
) -> Result<M, Fault> {
    content(binding, captures, query, "", body)
}

/// The same for a body of any kind; `content_type` matters to rows that take bytes.
///
/// # Errors
/// As [`bind`].
pub fn content<'a, M: DeserializeOwned + Serialize>(
    binding: &'static Binding,
    captures: impl Iterator<Item = &'a str>,
    query: Option<&'a str>,
    content_type: &'a str,
    body: &'a [u8],
) -> Result<M, Fault> {
    let entries = entries(binding, captures, query, content_type, body)?;
    let root = Node::root(&entries, Some(binding.request), agree::<M>);
    M::deserialize(root).or_else(|_| explained(&entries, binding.request))
}

/// What a request gives for which fields, in the order in which a message is read.
fn entries<'a>(
    binding: &'static Binding,
    captures: impl Iterator<Item = &'a str>,
    query: Option<&'a str>,
    content_type: &'a str,
    body: &'a [u8],
) -> Result<Vec<Entry<'a>>, Fault> {
    let mut entries = Vec::with_capacity(4);
    for (capture, raw) in binding.captures.iter().zip(captures) {
        let text = decode(raw, capture.multi).map_err(|why| invalid(dotted(capture.path), why))?;
        entries.push(Entry::new(capture.path, Given::Text(text)));
    }
    let query = query.filter(|query| !query.is_empty());
    for pair in query.into_iter().flat_map(|query| query.split('&')) {
        if !pair.is_empty() {
            entries.push(parameter(binding, pair)?);
        }
    }
    if let Body::Raw {
        content_type: kind,
        data,
    } = binding.body
    {
        if !(content_type.is_empty() && body.is_empty()) {
            let given = [
                (kind, Given::Text(content_type.into())),
                (data, Given::Bytes(body)),
            ];
            entries.extend(given.map(|(path, given)| Entry::new(path, given)));
        }
    } else if let Some((path, json)) = json_of(binding, body)? {
        if let Some(mask) = binding.mask
            && !entries.iter().any(|entry| *entry.path == [mask.field])
            && let Some(paths) = mask::implied(binding, mask.resource, json)
        {
            entries.push(Entry::new(vec![mask.field], Given::Paths(paths)));
        }
        entries.push(Entry::new(path, Given::Json(json)));
    }
    if entries.len() > 1 {
        entries.sort_by(|a, b| a.order().cmp(b.order()));
        refuse_twice(&entries)?;
    }
    Ok(entries)
}

/// Reads a message that could not be read once more, and says which field is wrong.
#[cold]
#[inline(never)]
fn explained<M: DeserializeOwned + Serialize>(
    entries: &[Entry],
    request: &'static Message,
) -> Result<M, Fault> {
    let root = Node::root(entries, Some(request), agree::<M>);
    serde_path_to_error::deserialize(root).map_err(|error| {
        let path = error.path().to_string();
        let in_url = in_url(entries, &path);
        let trouble = match error.into_inner() {
            Trouble::Text(text) if in_url.is_some_and(|entry| entry.had_plus) => Trouble::Text(
                format!("{text}; in a query `+` is a space, and %2B is a plus"),
            ),
            trouble => trouble,
        };
        explain(&path, trouble, in_url.is_some(), request)
    })
}

/// What path or query give for the field of this way, or for an element of it: `times[1]`.
fn in_url<'e>(entries: &'e [Entry<'e>], path: &str) -> Option<&'e Entry<'e>> {
    let element = path
        .strip_suffix(']')
        .and_then(|path| path.rsplit_once('['));
    let (field, index) = element.unwrap_or((path, "0"));
    let is_of =
        |entry: &&Entry| matches!(entry.given, Given::Text(_)) && dotted(&entry.path) == field;
    entries.iter().filter(is_of).nth(index.parse().ok()?)
}

/// Holds a value of the body for a field that the path binds against the path's. They agree if a
/// request of nothing but the one is written like a request of nothing but the other, however the
/// two are spelled.
fn agree<M: DeserializeOwned + Serialize>(bound: &Entry, value: &Value) -> Result<(), Trouble> {
    let written = |entry: &Entry| {
        let alone = Node::root(std::slice::from_ref(entry), None, agree::<M>);
        json::to_vec(&M::deserialize(alone)?).map_err(Trouble::Json)
    };
    let in_body = Entry::new(&*bound.path, Given::Value(value));
    if written(&in_body)? == written(bound)? {
        return Ok(());
    }
    let text = match &bound.given {
        Given::Text(text) => text.as_ref(),
        _ => "something else",
    };
    Err(Trouble::Text(format!(
        "the path gives {text:?}, the body another value; remove the field from the body"
    )))
}

/// The field that a body of JSON is, and the body.
type Json<'b> = (&'static [&'static Field], &'b [u8]);

/// Where the body goes and what it holds; none where it says nothing.
fn json_of<'b>(binding: &'static Binding, body: &'b [u8]) -> Result<Option<Json<'b>>, Fault> {
    let text = body.trim_ascii();
    match &binding.body {
        // Not JSON.
        Body::Raw { .. } => Ok(None),
        Body::All => Ok((!text.is_empty()).then_some((&[], body))),
        Body::Field(field) => Ok((!text.is_empty()).then_some((std::slice::from_ref(field), body))),
        Body::None => {
            let nothing = text
                .strip_prefix(b"{")
                .and_then(|rest| rest.strip_suffix(b"}"));
            if text.is_empty() || nothing.is_some_and(|inside| inside.trim_ascii().is_empty()) {
                return Ok(None);
            }
            Err(Fault::invalid_argument(
                "UNEXPECTED_BODY",
                "this method takes no request body; send none, or `{}`",
            ))
        }
    }
}

/// One `name=value` of the query (WHATWG URL: `+` is a space, no `=` means an empty value).
fn parameter<'q>(binding: &Binding, pair: &'q str) -> Result<Entry<'q>, Fault> {
    let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = form_text(raw_name).map_err(|why| invalid(raw_name.to_owned(), why))?;
    let path = resolve(binding, &name).map_err(|why| {
        // How to address what is inside of what the body holds would be no help.
        let outer = name.split('.').next();
        let outer = outer.and_then(|outer| binding.request.field(outer));
        let taken = outer.and_then(|outer| why_not_in_query(binding, &[outer]));
        invalid(&*name, taken.map_or(why, str::to_owned))
    })?;
    if let Some(why) = why_not_in_query(binding, &path) {
        return Err(invalid(name.into_owned(), why));
    }
    let value = form_text(raw_value).map_err(|why| invalid(name.into_owned(), why))?;
    let given = match binding.mask {
        Some(mask) if path == [mask.field] => Given::Paths(mask::explicit(mask, &value)?),
        _ => Given::Text(value),
    };
    let mut entry = Entry::new(path, given);
    entry.had_plus = raw_value.contains('+');
    Ok(entry)
}

fn form_text(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    if raw.contains('+') {
        let spaced = raw.replace('+', " ");
        return decode(&spaced, false).map(|text| Cow::Owned(text.into_owned()));
    }
    decode(raw, false)
}

/// The fields that a parameter's dotted name leads through.
fn resolve(binding: &Binding, name: &str) -> Result<Vec<&'static Field>, String> {
    let mut path: Vec<&'static Field> = vec![];
    let mut message = Some(binding.request);
    for part in name.split('.') {
        let Some(inside) = message else {
            return Err(format!(
                "`{}` has no fields that a query parameter can address",
                dotted(&path)
            ));
        };
        if path.len() == MAXIMUM_DEPTH {
            return Err(format!("nested more than {MAXIMUM_DEPTH} levels deep"));
        }
        let field = inside.field(part).ok_or_else(|| {
            unknown(
                "query parameter",
                part,
                &addressable(binding, &path, inside),
            )
        })?;
        message = match field.kind {
            Kind::Message(inner) if !field.repeated => Some(inner),
            _ => None,
        };
        path.push(field);
    }
    match path.last() {
        Some(Field {
            kind: Kind::Text, ..
        }) => Ok(path),
        Some(Field {
            kind: Kind::Message(inner),
            repeated: false,
            ..
        }) => {
            let example = inner.fields.first().map_or_else(String::new, |field| {
                format!("; address its fields, as `{name}.{}`", field.json)
            });
            Err(format!("a message cannot be a query parameter{example}"))
        }
        _ => {
            Err("maps, repeated messages and free-form JSON cannot be query parameters".to_owned())
        }
    }
}

/// The names that can stand in the query where an unknown one stood.
fn addressable(binding: &Binding, path: &[&'static Field], inside: &Message) -> Vec<&'static str> {
    let addressable = inside.fields.iter().filter(|field| match field.kind {
        Kind::Text => true,
        Kind::Message(_) => !field.repeated,
        Kind::Opaque => false,
    });
    let free = addressable
        .filter(|field| why_not_in_query(binding, &[path, &[*field]].concat()).is_none());
    free.map(|field| field.json).collect()
}

/// Why the query may not bind this field: path or body already do (`google/api/http.proto`).
fn why_not_in_query(binding: &Binding, path: &[&'static Field]) -> Option<&'static str> {
    if binding.captures.iter().any(|capture| capture.path == path) {
        return Some("the path binds this field; leave the query parameter out");
    }
    let field = match binding.body {
        Body::None => return None,
        Body::All => None,
        Body::Field(field) => Some(field),
        // Without a field around it the whole message is the body.
        Body::Raw { data, .. } => data
            .split_last()
            .and_then(|(_, around)| around.first().copied()),
    };
    match field {
        None => Some("the request body holds every field; there are no query parameters"),
        Some(field) if path.first() == Some(&field) => {
            Some("the request body holds this field; leave the query parameter out")
        }
        Some(_) => None,
    }
}

/// `entries` are sorted, so equal fields stand side by side.
fn refuse_twice(entries: &[Entry]) -> Result<(), Fault> {
    let twice = entries.windows(2).find(|pair| {
        pair[0].path == pair[1].path && !pair[0].path.last().is_some_and(|field| field.repeated)
    });
    match twice {
        None => Ok(()),
        Some(pair) => Err(invalid(dotted(&pair[0].path), "given more than once")),
    }
}

fn dotted(path: &[&'static Field]) -> String {
    let names: Vec<&str> = path.iter().map(|field| field.json).collect();
    names.join(".")
}
