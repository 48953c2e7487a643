//! The OpenAPI 3.1 document of annotated services, from the same model that makes the routes, so
//! that it cannot tell of others. Generic: what it says of a service comes from proto files, their
//! annotations and their comments, and from a supplement for what those cannot say.
//!
//! The supplement is a JSON object:
//!
//! ```json
//! {
//!   "info": {
//!     "title": "…", "version": "…", "license": "SPDX identifier",
//!     "description": "what a reader should know before anything else"
//!   },
//!   "tags": {"TAG": "a description, where no resource has one"},
//!   "parameters": {
//!     "PATH_OR_QUERY_PARAMETER": "an example",
//!     "PATH_PARAMETER": {"example": "…", "pattern": "…"}
//!   },
//!   "fields": {"FULL_NAME": {"pattern": "…", "minimum": 0, "maxLength": 1, "optional": true, "writable": true}},
//!   "operations": {
//!     "OPERATION_ID": {
//!       "requests": {"KEY": {"summary": "…", "value": "an example"}},
//!       "requestHeaders": {"If-Match": "a description"},
//!       "response": "an example", "responseHeaders": {"ETag": "a description"},
//!       "events": "an example, where what the answer shows can be followed",
//!       "errors": {"HTTP_STATUS": "an example"}
//!     }
//!   },
//!   "errors": {"HTTP_STATUS": "an example"}
//! }
//! ```
//!
//! A field that is `optional` is not demanded of requests though it is REQUIRED, and one that is
//! `writable` can be set by an update though it is OUTPUT_ONLY.
//! Swagger UI sends the example of a query parameter, and the first by key of a request's.
//! A response header that is no mere text is `{"description": "…", "type": "integer"}`, or has a
//! `format`; a request header that takes only some text is `{"description": "…", "pattern": "…"}`.

mod answers;
mod errors;
mod introduction;
mod naming;
mod operations;
mod parameters;
mod prose;
mod schemas;
mod tags;
#[cfg(test)]
mod tests;
mod types;

use std::collections::BTreeSet;
use std::error::Error;

use prost_reflect::MessageDescriptor;
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Info, InfoBuilder, LicenseBuilder, OpenApiBuilder, Paths, RefOr, ServerBuilder, Tag,
};

use self::operations::{Identity, method, operation};
use self::prose::Prose;
use self::schemas::{Schemas, closure};
use super::annotations;
use super::rules::{Binding, Body, Role, Service};

/// The document of the services, as indented JSON. The same input gives the same text.
///
/// # Errors
/// A `RuleError` where OpenAPI cannot say what a rule says: a method that it has no word for, or
/// two rules that it cannot tell apart. Another error where the supplement is no JSON, or speaks
/// of an operation, a tag or a parameter that does not exist.
pub fn document(services: &[Service], supplement: &str) -> Result<String, Box<dyn Error>> {
    let supplement: Value = serde_json::from_str(supplement)?;
    let bindings: Vec<&Binding> = services
        .iter()
        .flat_map(|service| &service.bindings)
        .collect();
    let pool = services
        .first()
        .map(|service| service.descriptor.parent_pool());
    let resources = pool.map(annotations::resources).unwrap_or_default();
    let (sent, received) = messages(&bindings);
    let read = closure([sent, received.clone()].concat());
    let prose = Prose::new(read.values());
    let mut schemas = Schemas::new(&prose, bodies(&bindings), received, &supplement["fields"]);
    let locations = naming::locations(&bindings, &resources)?;
    let ids = operation_ids(&bindings);
    let mut paths = Paths::new();
    let mut tags: Vec<Tag> = vec![];
    let (mut statuses, mut parameters) = (BTreeSet::new(), BTreeSet::new());
    for ((binding, location), id) in bindings.iter().zip(&locations).zip(&ids) {
        let tag = tags::tag(binding, &resources, &prose, &supplement["tags"]);
        let identity = Identity {
            id,
            tag: &tag.name,
            location,
        };
        let operation = operation(binding, &identity, &prose, &mut schemas, &supplement);
        let named = operation.parameters.iter().flatten();
        parameters.extend(named.filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter.name.clone()),
            RefOr::Ref(_) => None,
        }));
        let responses = operation.responses.responses.iter();
        let shared = responses.filter(|(_, response)| matches!(response, RefOr::Ref(_)));
        statuses.extend(shared.map(|(status, _)| status.clone()));
        paths.add_path_operation(&location.key, vec![method(binding)?], operation);
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let fields = read.values().flat_map(MessageDescriptor::fields);
    let fields: Vec<String> = fields.map(|field| field.full_name().to_owned()).collect();
    for (section, known) in [
        ("fields", fields.iter().map(String::as_str).collect()),
        ("operations", ids.iter().map(String::as_str).collect()),
        ("tags", tags.iter().map(|tag| tag.name.as_str()).collect()),
        (
            "parameters",
            parameters.iter().map(String::as_str).collect(),
        ),
        (
            "errors",
            statuses.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        ),
    ] {
        refuse_strangers(&supplement[section], section, &known)?;
    }

    let mut components = Components::new();
    components.responses = errors::components(&statuses, &mut schemas, &supplement["errors"]);
    components.schemas = schemas.into_components();
    components.add_security_scheme("bearer", bearer());
    let document = OpenApiBuilder::new()
        .info(info(
            &supplement["info"],
            introduction::text(&supplement["info"], services, &resources, &prose),
        ))
        .servers(Some([ServerBuilder::new()
            .url(".")
            .description(Some("This server"))
            .build()]))
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components))
        .security(Some([SecurityRequirement::new("bearer", [""; 0])]))
        .build();
    let mut document = serde_json::to_value(document)?;
    for (binding, location) in bindings.iter().zip(&locations) {
        last(&mut document["paths"][&location.key], &binding.method);
    }
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Moves a method to the end of its path: done for every rule, they stand in the order of the rules,
/// in which people read them, and not in utoipa's.
fn last(path: &mut Value, method: &str) {
    let method = method.to_lowercase();
    if let Some(path) = path.as_object_mut()
        && let Some(operation) = path.get_mut(&method).map(Value::take)
    {
        path.retain(|other, _| *other != method);
        path.insert(method, operation);
    }
}

/// A JSON document as YAML, in the same order.
///
/// # Errors
/// It is no JSON.
pub fn yaml(json: &str) -> Result<String, Box<dyn Error>> {
    let document: Value = serde_json::from_str(json)?;
    Ok(serde_saphyr::to_string(&document)?)
}

/// The messages that requests, in whatever way, and answers begin with.
fn messages(bindings: &[&Binding]) -> (Vec<MessageDescriptor>, Vec<MessageDescriptor>) {
    bindings
        .iter()
        .map(|binding| (binding.rpc.input(), binding.rpc.output()))
        .unzip()
}

/// The messages that request bodies begin with.
fn bodies(bindings: &[&Binding]) -> Vec<MessageDescriptor> {
    let bodies = bindings.iter().filter_map(|binding| match &binding.body {
        Body::None => None,
        Body::All => Some(binding.rpc.input()),
        Body::Field(field) => match Role::of(field) {
            Role::Message(message) => Some(message),
            Role::Text | Role::Opaque => None,
        },
    });
    bodies.collect()
}

/// Each binding's operation: the name of its rpc, with that of its service where two share it, and
/// with a number where the rpc has several bindings.
fn operation_ids(bindings: &[&Binding]) -> Vec<String> {
    let ids = bindings.iter().enumerate().map(|(index, binding)| {
        let (rpc, service) = (&binding.rpc, binding.rpc.parent_service());
        let shared = bindings
            .iter()
            .any(|other| other.rpc.name() == rpc.name() && other.rpc != *rpc);
        let name = if shared {
            format!("{}_{}", service.name(), rpc.name())
        } else {
            rpc.name().to_owned()
        };
        let earlier = bindings
            .iter()
            .take(index)
            .filter(|other| other.rpc == *rpc)
            .count();
        if earlier == 0 {
            name
        } else {
            format!("{name}_{}", earlier + 1)
        }
    });
    ids.collect()
}

/// A supplement for what does not exist would be lost without a word.
fn refuse_strangers(
    entries: &Value,
    section: &str,
    known: &BTreeSet<&str>,
) -> Result<(), Box<dyn Error>> {
    let mut names = entries
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str());
    let Some(stranger) = names.find(|name| !known.contains(name)) else {
        return Ok(());
    };
    let known: Vec<&str> = known.iter().copied().collect();
    let known = known.join(", ");
    Err(format!(
        "the OpenAPI supplement has `{stranger}` under `{section}`, where there are only: {known}"
    )
    .into())
}

fn info(supplement: &Value, description: String) -> Info {
    let text = |key: &str| supplement[key].as_str().unwrap_or_default();
    let license = Some(text("license")).filter(|license| !license.is_empty());
    let license = license.map(|name| {
        LicenseBuilder::new()
            .name(name)
            .identifier(Some(name))
            .build()
    });
    let info = InfoBuilder::new()
        .title(text("title"))
        .version(text("version"));
    info.description(Some(description)).license(license).build()
}

fn bearer() -> SecurityScheme {
    let text = "Your token alone, without the word `Bearer` before it. Requests carry it as \
                `Authorization: Bearer …`.";
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(text));
    SecurityScheme::Http(scheme.build())
}
