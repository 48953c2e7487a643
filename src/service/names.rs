//! Resource names, AIP-122: `namespaces/NAMESPACE/leases/LEASE`. The texts of these errors are
//! upstream's (rules A3-A9); its clients show them to people.

use std::sync::Arc;

use crate::fault::{Fault, Violation};
use crate::lease::Name;

pub const EXPORTERS: &str = "exporters";
pub const LEASES: &str = "leases";
pub const CLIENTS: &str = "clients";

/// The namespace of `namespaces/NAMESPACE`.
pub fn parent(text: &str) -> Result<Arc<str>, Fault> {
    let namespace = segments(text).and_then(|[first, namespace]| {
        expect("first", text, "namespaces", first)?;
        expect_namespace(text, namespace)?;
        Ok(namespace.into())
    });
    namespace.map_err(|message| invalid("parent", message))
}

/// The namespace and the short name of `namespaces/NAMESPACE/COLLECTION/NAME`.
pub fn object(text: &str, collection: &str) -> Result<Name, Fault> {
    object_in("name", text, collection)
}

/// The same for a name that stands in another field than `name`.
pub fn object_in(field: &str, text: &str, collection: &str) -> Result<Name, Fault> {
    parse(text, collection).map_err(|message| invalid(field, message))
}

/// The resource name of an object.
pub fn format(namespace: &str, collection: &str, id: &str) -> String {
    ["namespaces/", namespace, "/", collection, "/", id].concat()
}

/// A field's name as JSON and query parameters spell it.
pub fn json_name(field: &str) -> String {
    let mut words = field.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        name.push_str(&first.to_ascii_uppercase());
        name.push_str(rest);
    }
    name
}

fn parse(text: &str, collection: &str) -> Result<Name, String> {
    let (namespace, id) = parts(text, collection)?;
    Ok(Name::new(namespace, id))
}

/// The namespace and the short name of an object, as they stand in its name.
///
/// # Errors
/// What is wrong with it.
pub fn parts<'t>(text: &'t str, collection: &str) -> Result<(&'t str, &'t str), String> {
    let [first, namespace, third, id] = segments(text)?;
    expect("first", text, "namespaces", first)?;
    expect("third", text, collection, third)?;
    expect_namespace(text, namespace)?;
    if id.is_empty() {
        return Err("resource name may not be empty".to_owned());
    }
    let why = match id {
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        id if id.contains('%') => Some("may not contain '%'"),
        _ => None,
    };
    match why {
        Some(why) => Err(format!("invalid resource name {id:?}: [{why}]")),
        None => Ok((namespace, id)),
    }
}

/// The parts of a name, which has to have just so many.
fn segments<const COUNT: usize>(text: &str) -> Result<[&str; COUNT], String> {
    let mut segments = [""; COUNT];
    let (mut found, mut start) = (0, 0);
    let slashes = text.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
    for end in slashes.map(|(at, _)| at).chain([text.len()]) {
        if let (Some(segment), Some(part)) = (segments.get_mut(found), text.get(start..end)) {
            *segment = part;
        }
        found += 1;
        start = end + 1;
    }
    if found == COUNT {
        return Ok(segments);
    }
    Err(format!(
        "invalid number of segments in identifier \"{text}\", expecting {COUNT}, got {found}"
    ))
}

fn expect(which: &str, text: &str, expected: &str, found: &str) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "invalid {which} segment in identifier \"{text}\", expecting \"{expected}\", got \"{found}\""
    ))
}

/// REST cannot leave it out; gRPC can. One with an escape is of REST, and would forge a name.
fn expect_namespace(text: &str, namespace: &str) -> Result<(), String> {
    if namespace.contains('%') {
        return Err(format!(
            "invalid resource name {namespace:?}: [may not contain '%']"
        ));
    }
    if namespace.is_empty() {
        return Err(format!(
            "the namespace in identifier \"{text}\" may not be empty"
        ));
    }
    Ok(())
}

fn invalid(field: &str, message: String) -> Fault {
    let violation = Violation {
        field: field.to_owned(),
        description: message.clone(),
    };
    Fault::invalid_argument("INVALID_RESOURCE_NAME", message).with_violation(violation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_upstreams_words() {
        let message = |text| object(text, LEASES).unwrap_err().to_string();
        assert_eq!(
            message("leases/x"),
            "invalid number of segments in identifier \"leases/x\", expecting 4, got 2"
        );
        assert_eq!(
            message(""),
            "invalid number of segments in identifier \"\", expecting 4, got 1"
        );
        assert_eq!(
            message("ns/lab/leases/x"),
            "invalid first segment in identifier \"ns/lab/leases/x\", expecting \"namespaces\", got \"ns\""
        );
        assert_eq!(
            message("namespaces/lab/exporters/x"),
            "invalid third segment in identifier \"namespaces/lab/exporters/x\", expecting \"leases\", got \"exporters\""
        );
        assert_eq!(
            message("namespaces//leases/x"),
            "the namespace in identifier \"namespaces//leases/x\" may not be empty"
        );
        assert!(parent("namespaces/").is_err());
        assert_eq!(
            parent("namespaces/lab%2Fleases").unwrap_err().to_string(),
            "invalid resource name \"lab%2Fleases\": [may not contain '%']"
        );
        assert_eq!(
            message("namespaces/lab/leases/"),
            "resource name may not be empty"
        );
        assert_eq!(
            message("namespaces/lab/leases/.."),
            "invalid resource name \"..\": [may not be '..']"
        );
        assert_eq!(
            object("namespaces/lab/leases/a", LEASES).unwrap(),
            Name::new("lab", "a")
        );
    }

    #[test]
    fn json_names_are_lower_camel() {
        assert_eq!(json_name("tag_filter"), "tagFilter");
        assert_eq!(json_name("filter"), "filter");
    }
}
