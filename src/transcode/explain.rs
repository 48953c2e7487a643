//! What to tell of a request that could not be bound: which field it is about, and what would be
//! right, in the words of JSON. Knows the texts of serde and of `proto::json`, which know no fields.

use super::fields::Trouble;
use super::row::{Kind, Message};
use crate::fault::{Fault, Violation};
use crate::proto::json::ONE_OF_SEVERAL;

/// Turns what a `Deserialize` said, and where, into what the caller should know. Of a field that is
/// given `in_url`, no place in the body is told: the reader of the body adds its own to whatever goes wrong
/// while it reads.
pub fn explain(path: &str, trouble: Trouble, in_url: bool, request: &'static Message) -> Fault {
    let path = if path == "." { "" } else { path };
    let (text, place) = match trouble {
        Trouble::Text(text) => (text, None),
        Trouble::Json(error) => {
            let place = (error.line(), error.column());
            let text = error.to_string();
            let ending = format!(" at line {} column {}", place.0, place.1);
            let text = text.strip_suffix(&ending).unwrap_or(&text).to_owned();
            // A number may be too large for its field and still be JSON.
            if (error.is_syntax() && text != NUMBER_OUT_OF_RANGE) || error.is_eof() {
                let message = format!(
                    "the request body is not valid JSON: {text} at line {}, column {}",
                    place.0, place.1
                );
                return Fault::invalid_argument("MALFORMED_JSON", message)
                    .with_metadata("line", place.0.to_string())
                    .with_metadata("column", place.1.to_string());
            }
            (text, Some(place))
        }
    };
    let (field, mut description) = match Naming::of(&text) {
        Naming::Unknown(name) => {
            let (outer, message) = around(path, name, request);
            let description = message.map_or_else(
                || "no such field".to_owned(),
                |message| {
                    let known: Vec<&str> = message.fields.iter().map(|field| field.json).collect();
                    unknown("field", name, &known)
                },
            );
            (joined(outer, name), description)
        }
        Naming::Twice(name) => (joined(path, name), "given more than once".to_owned()),
        Naming::Excess(name) => (joined(path, name), ONE_OF_SEVERAL.to_owned()),
        Naming::NoValue(name, known) => (path.to_owned(), unknown("value", name, &known)),
        Naming::None => (path.to_owned(), in_terms_of_json(text)),
    };
    if let Some((line, column)) = place.filter(|(line, _)| *line > 0 && !in_url) {
        description = format!("{description} (line {line}, column {column})");
    }
    invalid(field, description)
}

/// The way to what holds an unknown name, and the message that this is, if it is one. The way to the
/// trouble ends in the name itself, save where an `Any` holds it: there it ends in a field that is known.
fn around<'p>(
    path: &'p str,
    name: &str,
    request: &'static Message,
) -> (&'p str, Option<&'static Message>) {
    let message = |way: &str| {
        let mut parts = way.split('.').filter(|part| !part.is_empty());
        parts.try_fold(request, |message, part| {
            match message.field(part.split('[').next()?)?.kind {
                Kind::Message(inner) => Some(inner),
                Kind::Text | Kind::Opaque => None,
            }
        })
    };
    let outer = path.strip_suffix(name);
    let outer = outer.filter(|outer| outer.is_empty() || outer.ends_with('.'));
    let outer = outer.map(|outer| outer.strip_suffix('.').unwrap_or(outer));
    match outer.map(|outer| (outer, message(outer))) {
        Some((outer, found)) if found.is_none_or(|inside| inside.field(name).is_none()) => {
            (outer, found)
        }
        _ => (path, message(path)),
    }
}

/// What serde_json says of a number that no `f64` can hold.
const NUMBER_OUT_OF_RANGE: &str = "number out of range";

/// What to tell of a field, a parameter or a value that does not exist.
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    if name.len() > LONGEST_NAME {
        return format!("no such {what}; there are: {}", known.join(", "));
    }
    let distance = |known: &&&str| strsim::damerau_levenshtein(known, name);
    match known.iter().min_by_key(distance) {
        None => format!("no such {what}; there are none"),
        Some(near) if distance(&near) <= 1 + name.len() / 4 => {
            format!("no such {what}; did you mean `{near}`?")
        }
        Some(_) => format!("no such {what}; there are: {}", known.join(", ")),
    }
}

/// INVALID_ARGUMENT about one field, or query parameter.
pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Fault {
    refusal("INVALID_FIELD", field, description)
}

/// The same with another reason than `INVALID_FIELD`.
pub fn refusal(
    reason: &'static str,
    field: impl Into<String>,
    description: impl Into<String>,
) -> Fault {
    let (field, description) = (field.into(), description.into());
    let violation = Violation { field, description };
    if violation.field.is_empty() {
        // It is about the body as a whole, and a violation without a field names nothing.
        return Fault::invalid_argument(reason, violation.description);
    }
    let message = format!("{}: {}", violation.field, violation.description);
    Fault::invalid_argument(reason, message).with_violation(violation)
}

/// The longest name that is compared with others, and shown whole. Comparing takes time by the
/// product of the lengths, and nobody means a field by a longer name.
const LONGEST_NAME: usize = 80;

/// What serde says of types, in the words of JSON.
fn in_terms_of_json(text: String) -> String {
    let prefixes = ["invalid type: ", "invalid value: "];
    let stripped = prefixes.map(|prefix| Some((prefix, text.strip_prefix(prefix)?)));
    let Some((prefix, rest)) = stripped.into_iter().flatten().next() else {
        return text;
    };
    let kinds = [
        ("sequence, ", "an array, "),
        ("map, ", "an object, "),
        ("floating point `", "number `"),
        ("integer `", "number `"),
    ];
    let found = kinds.iter().find_map(|(kind, name)| {
        let rest = rest.strip_prefix(kind)?;
        Some(format!("{name}{rest}"))
    });
    let text = found.unwrap_or_else(|| rest.to_owned());
    match text.rsplit_once("expected struct ") {
        None => format!("{prefix}{text}"),
        Some((found, message)) => format!("{prefix}{found}expected an object: {message}"),
    }
}

/// A text of serde's, or of `proto::json`, that names what it is about.
enum Naming<'t> {
    Unknown(&'t str),
    Twice(&'t str),
    /// A second member of a oneof.
    Excess(&'t str),
    /// No value of an enum, and the names of those there are.
    NoValue(&'t str, Vec<&'t str>),
    None,
}

impl<'t> Naming<'t> {
    fn of(text: &'t str) -> Self {
        // A name may hold the quotes that stand around it.
        if let Some(rest) = text.strip_prefix("unknown field `") {
            let name = rest.rsplit_once("`, expected ").map(|(name, _)| name);
            let name = name.or_else(|| rest.rsplit_once("`, there are no ").map(|(name, _)| name));
            return Self::Unknown(name.unwrap_or(rest));
        }
        if let Some(rest) = text.strip_prefix("unknown variant `")
            && let Some((name, known)) = rest.rsplit_once("`, expected ")
        {
            return Self::NoValue(name, known.split('`').skip(1).step_by(2).collect());
        }
        if let Some(rest) = text.strip_prefix("duplicate field `") {
            return Self::Twice(rest.strip_suffix('`').unwrap_or(rest));
        }
        let excess = text
            .strip_suffix(ONE_OF_SEVERAL)
            .and_then(|rest| rest.strip_prefix('`')?.strip_suffix("` "));
        excess.map_or(Self::None, Self::Excess)
    }
}

/// The way to a field inside the message that `outer` leads to.
fn joined(outer: &str, name: &str) -> String {
    match outer {
        "" => name.to_owned(),
        outer => format!("{outer}.{name}"),
    }
}
