//! Tags: operations are grouped by the resource that they are about.

use serde_json::Value;
use utoipa::openapi::Tag;
use utoipa::openapi::tag::TagBuilder;

use super::prose::Prose;
use crate::codegen::annotations::{Resource, reference};
use crate::codegen::rules::Binding;

/// The tag of a binding: the plural of the resource that it answers or whose name the path holds;
/// or else of the noun in the rpc's name (`RotateToken` is about tokens). Tags of one name are
/// equal.
pub fn tag(binding: &Binding, resources: &[Resource], prose: &Prose, descriptions: &Value) -> Tag {
    let name = match resource(binding, resources) {
        Some(resource) => capitalised(&plural(resource)),
        None => noun(binding),
    };
    let called = resources
        .iter()
        .find(|resource| capitalised(&plural(resource)) == name);
    let message = called.and_then(|resource| resource.message.as_ref());
    let comment = message.map(|message| prose.summary_and_rest(message).0 + ".");
    let description = descriptions[&name].as_str().map(str::to_owned).or(comment);
    TagBuilder::new()
        .name(name)
        .description(description)
        .build()
}

fn resource<'a>(binding: &Binding, resources: &'a [Resource]) -> Option<&'a Resource> {
    let output = binding.rpc.output();
    let answered = resources
        .iter()
        .find(|resource| resource.message.as_ref() == Some(&output));
    let named = || {
        let field = binding
            .captures
            .iter()
            .find_map(|capture| capture.fields.last())?;
        let reference = reference(field);
        resources
            .iter()
            .find(|resource| [&reference.kind, &reference.child_kind].contains(&&resource.kind))
    };
    answered.or_else(named)
}

/// As declared, or the collection that the pattern ends in.
fn plural(resource: &Resource) -> String {
    if !resource.plural.is_empty() {
        return resource.plural.clone();
    }
    let pattern = resource
        .patterns
        .first()
        .map(String::as_str)
        .unwrap_or_default();
    let mut parts = pattern.rsplit('/').filter(|part| !part.starts_with('{'));
    parts.next().unwrap_or(&resource.kind).to_owned()
}

/// What follows the verb in the rpc's name, as a plural; the service where nothing does.
fn noun(binding: &Binding) -> String {
    let name = binding.rpc.name();
    let verb_ends = name
        .char_indices()
        .skip(1)
        .find(|(_, c)| c.is_ascii_uppercase());
    match verb_ends.and_then(|(index, _)| name.get(index..)) {
        None => binding.rpc.parent_service().name().to_owned(),
        Some(noun) if noun.ends_with('s') => noun.to_owned(),
        Some(noun) => match noun.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None => format!("{noun}s"),
        },
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}
