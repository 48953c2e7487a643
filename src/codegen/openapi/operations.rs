//! From an HTTP rule to an operation.

use serde_json::{Map, Value};
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::{ContentBuilder, Deprecated, RefOr, Required, Schema};

use super::answers::{ANYTHING, JSON, answer, binary, unchanged};
use super::errors;
use super::naming::Location;
use super::parameters::{header_parameters, path_parameters, query_parameters, unannotated};
use super::prose::Prose;
use super::schemas::{Purpose, Schemas};
use super::types::some;
use crate::codegen::annotations::{behavior, deprecated};
use crate::codegen::rules::{Binding, Body, Role, RuleError, is_http_body};

/// What an operation is called, and where it stands.
#[derive(Debug)]
pub struct Identity<'a> {
    pub id: &'a str,
    pub tag: &'a str,
    pub location: &'a Location,
}

/// The method in OpenAPI's words.
///
/// # Errors
/// OpenAPI 3.1 has no word for it.
pub fn method(binding: &Binding) -> Result<HttpMethod, RuleError> {
    match binding.method.as_str() {
        "GET" => Ok(HttpMethod::Get),
        "PUT" => Ok(HttpMethod::Put),
        "POST" => Ok(HttpMethod::Post),
        "DELETE" => Ok(HttpMethod::Delete),
        "OPTIONS" => Ok(HttpMethod::Options),
        "HEAD" => Ok(HttpMethod::Head),
        "PATCH" => Ok(HttpMethod::Patch),
        "TRACE" => Ok(HttpMethod::Trace),
        other => Err(RuleError {
            rpc: binding.rpc.full_name().to_owned(),
            what: format!(
                "OpenAPI 3.1 cannot describe the method `{other}` of `{}`",
                binding.path
            ),
        }),
    }
}

/// The operation of a binding. `parameters` and `operations` of the supplement add to it.
pub fn operation(
    binding: &Binding,
    identity: &Identity,
    prose: &Prose,
    schemas: &mut Schemas,
    supplement: &Value,
) -> Operation {
    let (summary, description) = prose.summary_and_rest(&binding.rpc);
    let own = &supplement["operations"][identity.id];
    let mut parameters = path_parameters(
        binding,
        identity.location,
        schemas,
        &supplement["parameters"],
    );
    parameters.extend(query_parameters(
        binding,
        schemas,
        &supplement["parameters"],
    ));
    parameters.extend(header_parameters(&own["requestHeaders"]));
    let mut operation = OperationBuilder::new()
        .tag(identity.tag)
        .summary(some(&summary))
        .description(some(&description))
        .operation_id(Some(identity.id))
        .parameters((!parameters.is_empty()).then_some(parameters))
        .request_body(request_body(binding, schemas, &own["requests"]))
        .response("200", answer(binding, prose, schemas, own))
        .deprecated(deprecated(&binding.rpc.options()).then_some(Deprecated::True))
        .extensions(Some(Extensions::from_iter([(
            "x-google-api-http",
            rule(binding),
        )])));
    if let Some(response) = unchanged(&binding.method, own) {
        operation = operation.response("304", response);
    }
    for (status, response) in errors::responses(binding, prose, schemas, own) {
        operation = operation.response(status, response);
    }
    operation.build()
}

/// The rule as the proto file has it, for generators that speak protobuf.
fn rule(binding: &Binding) -> Value {
    let body = match &binding.body {
        Body::None => None,
        Body::All => Some("*".to_owned()),
        Body::Field(field) => Some(field.name().to_owned()),
    };
    let response_body = binding.response_body.as_ref();
    let mut rule = Map::new();
    rule.insert(binding.method.to_lowercase(), binding.path.clone().into());
    rule.extend(body.map(|body| ("body".to_owned(), body.into())));
    rule.extend(response_body.map(|field| ("response_body".to_owned(), field.name().into())));
    rule.into()
}

/// The request body, with the examples of the supplement; none where the path binds all that there is.
fn request_body(binding: &Binding, schemas: &mut Schemas, examples: &Value) -> Option<RequestBody> {
    let (media_type, schema, required) = match &binding.body {
        Body::None => return None,
        Body::All => whole_request(binding, schemas)?,
        Body::Field(field) => {
            // A path that binds something inside the field has set it already.
            let set = binding
                .captures
                .iter()
                .any(|capture| capture.fields.first() == Some(field));
            let required = behavior(field).required && !set;
            match Role::of(field) {
                Role::Message(message) if is_http_body(&message) => (ANYTHING, binary(), required),
                Role::Message(message) if binding.method == "PATCH" && !field.is_list() => {
                    (JSON, schemas.message(&message, Purpose::Patch), required)
                }
                _ => (
                    JSON,
                    unannotated(schemas.field(field, Purpose::Input)),
                    required,
                ),
            }
        }
    };
    let content = ContentBuilder::new()
        .schema(Some(schema))
        .examples_from_iter(
            examples
                .as_object()
                .into_iter()
                .flatten()
                .map(named_example),
        )
        .build();
    let required = if required {
        Required::True
    } else {
        Required::False
    };
    Some(
        RequestBodyBuilder::new()
            .content(media_type, content)
            .required(Some(required))
            .build(),
    )
}

/// An example with its key and what it shows.
fn named_example((key, entry): (&String, &Value)) -> (String, Example) {
    let example = ExampleBuilder::new()
        .summary(entry["summary"].as_str().unwrap_or_default())
        .value(entry.get("value").cloned());
    (key.clone(), example.build())
}

/// The body of `body: "*"`: every field that the path does not bind.
fn whole_request(
    binding: &Binding,
    schemas: &mut Schemas,
) -> Option<(&'static str, RefOr<Schema>, bool)> {
    let request = binding.rpc.input();
    if is_http_body(&request) {
        return Some((ANYTHING, binary(), false));
    }
    let bound = binding
        .captures
        .iter()
        .filter(|capture| capture.fields.len() == 1);
    let bound: Vec<_> = bound
        .filter_map(|capture| capture.fields.first().cloned())
        .collect();
    let mut rest = request
        .fields()
        .filter(|field| !bound.contains(field))
        .peekable();
    rest.peek()?;
    let required = rest.any(|field| behavior(&field).required);
    let schema = if bound.is_empty() {
        schemas.message(&request, Purpose::Input)
    } else {
        schemas.without(&request, &bound).into()
    };
    Some((JSON, schema, required))
}
