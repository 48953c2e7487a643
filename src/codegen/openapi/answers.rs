//! The answer to a request that succeeds.

use prost_reflect::{FieldDescriptor, MessageDescriptor};
use serde_json::Value;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder};
use utoipa::openapi::{ContentBuilder, Header, RefOr, ResponseBuilder, Schema, Type};

use super::parameters::unannotated;
use super::prose::Prose;
use super::schemas::{Purpose, Schemas};
use super::types::plain;
use crate::codegen::annotations::resource_of;
use crate::codegen::rules::{Binding, is_http_body};

pub const JSON: &str = "application/json";
/// What `google.api.HttpBody` carries.
pub const ANYTHING: &str = "*/*";
const NDJSON: &str = "application/x-ndjson";
const SSE: &str = "text/event-stream";

const STREAM: &str = "It is a stream of messages, in the form that the `Accept` header asks for: one JSON \
value on each line (the default), Server-Sent Events with one in each `data`, or one JSON array. A stream \
that fails after its first message ends with `{\"error\": …}`, which holds a `google.rpc.Status`; as an \
event it is called `error`.";

const FOLLOWED: &str =
    "To those who accept `text/event-stream`: what happens to it, as Server-Sent Events.";

const UNCHANGED: &str = "It has not changed since the answer whose `ETag` came as `If-None-Match`.";

/// The answer of a binding, with the examples and the headers of its operation in the supplement.
pub fn answer(
    binding: &Binding,
    prose: &Prose,
    schemas: &mut Schemas,
    own: &Value,
) -> ResponseBuilder {
    let output = binding.rpc.output();
    let (schema, text) = match &binding.response_body {
        Some(field) => (field_alone(field, schemas), prose.of(field)),
        None if is_http_body(&output) => (binary(), "The content.".to_owned()),
        None => (
            schemas.message(&output, Purpose::Answer),
            description(&output, prose),
        ),
    };
    let response = match (is_http_body(&output), binding.rpc.is_server_streaming()) {
        (true, _) => {
            let content = ContentBuilder::new().schema(Some(schema));
            ResponseBuilder::new()
                .description(text)
                .content(ANYTHING, content.build())
        }
        (false, false) => {
            let content = ContentBuilder::new()
                .schema(Some(schema))
                .example(own.get("response").cloned());
            let response = ResponseBuilder::new().content(JSON, content.build());
            match own.get("events") {
                Some(example) => {
                    let events = ContentBuilder::new().schema(Some(plain(Type::String, None)));
                    let events = events.example(Some(example.clone())).build();
                    response
                        .description(format!("{text}\n\n{FOLLOWED}"))
                        .content(SSE, events)
                }
                None => response.description(text),
            }
        }
        (false, true) => streamed(&text, schema),
    };
    with_headers(response, own)
}

/// The answer to those who have it already; none where the operation takes no `If-None-Match`, or changes
/// something (RFC 9110, section 13.1.2).
pub fn unchanged(method: &str, own: &Value) -> Option<ResponseBuilder> {
    own["requestHeaders"]
        .get("If-None-Match")
        .filter(|_| method == "GET")?;
    let response = ResponseBuilder::new().description(UNCHANGED);
    Some(with_headers(response, own))
}

/// Adds the header that every answer has.
pub fn with_request_id(response: ResponseBuilder) -> ResponseBuilder {
    let text = "The id of the request: the one it brought, or one made up.";
    response.header("X-Request-Id", header(&text.into()))
}

fn with_headers(response: ResponseBuilder, own: &Value) -> ResponseBuilder {
    let headers = own["responseHeaders"].as_object().into_iter().flatten();
    headers.fold(with_request_id(response), |response, (name, entry)| {
        response.header(name, header(entry))
    })
}

/// A header from its description, which is all there is to text, or an object with it.
fn header(entry: &Value) -> Header {
    let description = entry.as_str().or(entry["description"].as_str());
    let kind = match entry["type"].as_str() {
        Some("integer") => Type::Integer,
        _ => Type::String,
    };
    let schema = plain(kind, entry["format"].as_str());
    HeaderBuilder::new()
        .description(description)
        .schema(Some(schema))
        .build()
}

/// What a message is as an answer.
fn description(message: &MessageDescriptor, prose: &Prose) -> String {
    if message.full_name() == "google.protobuf.Empty" {
        return "Done.".to_owned();
    }
    match resource_of(message).filter(|resource| !resource.singular.is_empty()) {
        Some(resource) => format!("The {}.", resource.singular),
        None => format!("{}.", prose.summary_and_rest(message).0),
    }
}

/// A stream in each form that it can have.
fn streamed(text: &str, schema: RefOr<Schema>) -> ResponseBuilder {
    let line = ContentBuilder::new().schema(Some(schema.clone()));
    let event = ContentBuilder::new().schema(Some(plain(Type::String, None)));
    let array = ContentBuilder::new().schema(Some(ArrayBuilder::new().items(schema)));
    ResponseBuilder::new()
        .description(format!("{text}\n\n{STREAM}"))
        .content(NDJSON, line.build())
        .content(SSE, event.build())
        .content(JSON, array.build())
}

/// One field as the whole answer: null where it is not set and has no default.
fn field_alone(field: &FieldDescriptor, schemas: &mut Schemas) -> RefOr<Schema> {
    let schema = unannotated(schemas.field(field, Purpose::Answer));
    if field.supports_presence() {
        OneOfBuilder::new()
            .item(schema)
            .item(plain(Type::Null, None))
            .into()
    } else {
        schema
    }
}

/// Bytes of whatever type the content says.
pub fn binary() -> RefOr<Schema> {
    plain(Type::String, Some("binary")).into()
}
