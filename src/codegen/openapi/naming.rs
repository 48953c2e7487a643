//! From path templates to OpenAPI paths. Every wildcard becomes a parameter of its own, because a
//! parameter of OpenAPI cannot hold a `/`; it is named as `google.api.resource` names it.

use std::collections::{BTreeMap, BTreeSet};

use crate::codegen::annotations::{Resource, reference};
use crate::codegen::rules::{Binding, Capture, RuleError};
use crate::codegen::template::Segment;

/// Where a binding stands in an OpenAPI document.
#[derive(Debug)]
pub struct Location {
    /// `/v1/namespaces/{namespace}/leases/{lease}`.
    pub key: String,
    /// One for each wildcard of the template, in order.
    pub parameters: Vec<Parameter>,
}

/// A wildcard of a template.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: String,
    /// The binding's capture that it belongs to, by index; none where nothing is captured.
    pub capture: Option<usize>,
    /// `**`: any number of segments.
    pub rest: bool,
}

/// The location of every binding, in order.
///
/// # Errors
/// Two bindings that would be one operation.
pub fn locations(
    bindings: &[&Binding],
    resources: &[Resource],
) -> Result<Vec<Location>, RuleError> {
    let mut names_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut owners: BTreeMap<(String, &str), &Binding> = BTreeMap::new();
    let mut locations = vec![];
    for binding in bindings {
        let mut parameters = parameters(binding, resources);
        let shape = key(binding, parameters.iter().map(|_| ""));
        // Templates that differ only in what their wildcards are called are one path, under the
        // names of the first of them.
        let names = names_of.entry(shape.clone()).or_insert_with(|| {
            parameters
                .iter()
                .map(|parameter| parameter.name.clone())
                .collect()
        });
        for (parameter, name) in parameters.iter_mut().zip(names.iter()) {
            parameter.name.clone_from(name);
        }
        let key = key(binding, names.iter().map(String::as_str));
        if let Some(other) = owners.insert((shape, &binding.method), binding) {
            return Err(RuleError {
                rpc: binding.rpc.full_name().to_owned(),
                what: format!(
                    "`{} {}` cannot be told from `{}` of {} in an OpenAPI document: both are `{key}`",
                    binding.method,
                    binding.path,
                    other.path,
                    other.rpc.full_name()
                ),
            });
        }
        locations.push(Location { key, parameters });
    }
    Ok(locations)
}

/// The binding's path with these names for its wildcards.
fn key<'a>(binding: &Binding, mut names: impl Iterator<Item = &'a str>) -> String {
    let segments = binding
        .template
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => encoded(text),
            Segment::One | Segment::Rest => format!("{{{}}}", names.next().unwrap_or_default()),
        });
    let path = segments.collect::<Vec<_>>().join("/");
    let verb = binding
        .template
        .verb
        .as_ref()
        .map(|verb| format!(":{}", encoded(verb)));
    format!("/{path}{}", verb.unwrap_or_default())
}

/// A literal as it stands in a URL (RFC 3986, section 3.3).
fn encoded(literal: &str) -> String {
    let characters = literal.bytes().map(|byte| match byte {
        b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'+' | b','
        | b';' | b'=' | b'@' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    characters.collect()
}

fn parameters(binding: &Binding, resources: &[Resource]) -> Vec<Parameter> {
    let segments = &binding.template.segments;
    let mut parameters = vec![];
    for (at, segment) in segments.iter().enumerate() {
        if matches!(segment, Segment::Literal(_)) {
            continue;
        }
        let covers =
            |capture: &Capture| (capture.variable.start..capture.variable.end).contains(&at);
        let capture = binding.captures.iter().position(covers);
        let name = capture
            .and_then(|index| {
                let capture = &binding.captures[index];
                by_resource(capture, segments, at, resources)
                    .or_else(|| by_field(capture))
                    .or_else(|| by_literal(segments, at, resources))
                    .or_else(|| capture.variable.path.last().cloned())
            })
            .or_else(|| by_literal(segments, at, resources))
            .unwrap_or_else(|| "segment".to_owned());
        parameters.push(Parameter {
            name,
            capture,
            rest: *segment == Segment::Rest,
        });
    }
    make_distinct(binding, &mut parameters);
    parameters
}

/// The name that a resource's pattern has for the wildcard at `at`: the pattern of the type that
/// the field refers to; of the resource whose name the field is; the beginning of the pattern of
/// the child type; or the beginning of any pattern that has the same literals.
fn by_resource(
    capture: &Capture,
    segments: &[Segment],
    at: usize,
    resources: &[Resource],
) -> Option<String> {
    let segments = segments.get(capture.variable.start..capture.variable.end)?;
    let at = at.checked_sub(capture.variable.start)?;
    let field = capture.fields.last()?;
    let reference = reference(field);
    let look_up = |accept: &dyn Fn(&Resource) -> bool, whole: bool| {
        let accepted = resources.iter().filter(|resource| accept(resource));
        let mut patterns = accepted.flat_map(|resource| &resource.patterns);
        patterns.find_map(|pattern| name(pattern, segments, at, whole))
    };
    let owned = |resource: &Resource| {
        resource.message.as_ref() == Some(field.parent_message())
            && resource.name_field == field.name()
    };
    let literal = segments
        .iter()
        .any(|segment| matches!(segment, Segment::Literal(_)));
    look_up(&|resource| resource.kind == reference.kind, true)
        .or_else(|| look_up(&owned, true))
        .or_else(|| look_up(&|resource| resource.kind == reference.child_kind, false))
        .or_else(|| look_up(&|_| literal, false))
}

/// What a pattern calls the segment at `at`, if the segments are all of the pattern, or where that
/// is not asked for its beginning.
fn name(pattern: &str, segments: &[Segment], at: usize, whole: bool) -> Option<String> {
    let parts: Vec<&str> = pattern.split('/').collect();
    let long_enough = if whole {
        parts.len() == segments.len()
    } else {
        parts.len() >= segments.len()
    };
    let fits = segments
        .iter()
        .zip(&parts)
        .all(|(segment, part)| match segment {
            Segment::Literal(text) => text == part,
            Segment::One => variable(part).is_some(),
            Segment::Rest => false,
        });
    let name = variable(parts.get(at)?)?;
    (long_enough && fits).then(|| name.to_owned())
}

/// The name in `{name}`.
fn variable(part: &str) -> Option<&str> {
    let name = part.strip_prefix('{')?.strip_suffix('}')?;
    (!name.contains(['{', '='])).then_some(name)
}

/// A capture that is one wildcard and nothing else is called what its field is called.
fn by_field(capture: &Capture) -> Option<String> {
    let lone = capture.variable.end - capture.variable.start == 1;
    lone.then(|| capture.variable.path.last().cloned())
        .flatten()
}

/// The collection before the wildcard, made singular.
fn by_literal(segments: &[Segment], at: usize, resources: &[Resource]) -> Option<String> {
    let Some(Segment::Literal(collection)) =
        at.checked_sub(1).and_then(|before| segments.get(before))
    else {
        return None;
    };
    if segments[at] == Segment::Rest {
        return None;
    }
    let declared = resources
        .iter()
        .find(|resource| resource.plural == *collection);
    match declared {
        Some(resource) if !resource.singular.is_empty() => Some(resource.singular.clone()),
        _ => singular(collection),
    }
}

/// An English plural made singular; none where it is no plural.
fn singular(plural: &str) -> Option<String> {
    let cut = |ending: &str| plural.strip_suffix(ending).filter(|stem| stem.len() > 1);
    let doubled = ["sses", "shes", "ches", "xes", "zes"]
        .into_iter()
        .find_map(|ending| {
            cut(ending).map(|stem| format!("{stem}{}", &ending[..ending.len() - 2]))
        });
    doubled
        .or_else(|| cut("ies").map(|stem| format!("{stem}y")))
        .or_else(|| {
            cut("s")
                .filter(|stem| !stem.ends_with(['s', 'u', 'i']))
                .map(str::to_owned)
        })
}

/// One path cannot have two parameters of one name: they take the name of their field before
/// their own, and a number where that is not enough.
fn make_distinct(binding: &Binding, parameters: &mut [Parameter]) {
    let names: Vec<String> = parameters
        .iter()
        .map(|parameter| parameter.name.clone())
        .collect();
    let mut taken = BTreeSet::new();
    for parameter in parameters {
        let capture = parameter
            .capture
            .and_then(|index| binding.captures.get(index));
        let field = capture.and_then(|capture| capture.variable.path.last());
        let shared = names.iter().filter(|name| **name == parameter.name).count() > 1;
        if let Some(field) = field.filter(|field| shared && **field != parameter.name) {
            parameter.name = format!("{field}_{}", parameter.name);
        }
        let base = parameter.name.clone();
        let mut number = 2;
        while !taken.insert(parameter.name.clone()) {
            parameter.name = format!("{base}_{number}");
            number += 1;
        }
    }
}
