//! Failures: the one shape they all have, and which of them an operation can meet.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{FieldDescriptor, Kind};
use serde_json::Value;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Type};

use super::answers::{JSON, with_request_id};
use super::prose::Prose;
use super::schemas::{STATUS, Schemas};
use super::types::{plain, scalar};
use crate::codegen::annotations::reference;
use crate::codegen::rules::{Binding, Body, Capture};
use crate::codegen::template::Segment;

/// An HTTP status, the component that describes it, the canonical codes that lead to it
/// (`google/rpc/code.proto`), and what it means.
struct Failure {
    status: &'static str,
    component: &'static str,
    codes: &'static [&'static str],
    meaning: &'static str,
}

const FAILURES: [Failure; 16] = [
    Failure {
        status: "400",
        component: "BadRequest",
        codes: &["INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"],
        meaning: "The request is wrong in itself (`code` 3, with the fields that are wrong in \
                  `google.rpc.BadRequest`), or the present state does not allow it (`code` 9).",
    },
    Failure {
        status: "401",
        component: "Unauthenticated",
        codes: &["UNAUTHENTICATED"],
        meaning: "There is no bearer token, or it is not accepted (`code` 16).",
    },
    Failure {
        status: "403",
        component: "PermissionDenied",
        codes: &["PERMISSION_DENIED"],
        meaning: "The token is accepted, but does not give this right (`code` 7).",
    },
    Failure {
        status: "404",
        component: "NotFound",
        codes: &["NOT_FOUND"],
        meaning: "What the request names does not exist (`code` 5).",
    },
    Failure {
        status: "406",
        component: "NotAcceptable",
        codes: &[],
        meaning: "The `Accept` header rules out every form that the answer can have (`code` 3).",
    },
    Failure {
        status: "408",
        component: "BodyTooSlow",
        codes: &[],
        meaning: "The request body took longer to arrive than the server waits for one (`code` 4).",
    },
    Failure {
        status: "409",
        component: "Conflict",
        codes: &["ALREADY_EXISTS", "ABORTED"],
        meaning: "What was to be created exists already (`code` 6), or another request came in \
                  between (`code` 10).",
    },
    Failure {
        status: "412",
        component: "PreconditionFailed",
        codes: &[],
        meaning: "`If-Match` names another edition than the present one, or `If-None-Match` \
                  the present one (`code` 10).",
    },
    Failure {
        status: "413",
        component: "BodyTooLarge",
        codes: &[],
        meaning: "The request body is longer than the server takes (`code` 8).",
    },
    Failure {
        status: "415",
        component: "UnsupportedMediaType",
        codes: &[],
        meaning: "The request body does not call itself JSON in UTF-8 (`code` 3).",
    },
    Failure {
        status: "429",
        component: "ResourceExhausted",
        codes: &["RESOURCE_EXHAUSTED"],
        meaning: "You ask for more than one client may: too often, or too many waits and streams at a \
                  time (`code` 8). `Retry-After` says when to try again.",
    },
    Failure {
        status: "500",
        component: "Internal",
        codes: &["INTERNAL", "UNKNOWN", "DATA_LOSS"],
        meaning: "The server failed; its log says why (`code` 13).",
    },
    Failure {
        status: "501",
        component: "Unimplemented",
        codes: &["UNIMPLEMENTED"],
        meaning: "The server does not offer this (`code` 12).",
    },
    Failure {
        status: "503",
        component: "Unavailable",
        codes: &["UNAVAILABLE"],
        meaning: "The server cannot answer now, or has too much to do; try again (`code` 14).",
    },
    Failure {
        status: "504",
        component: "DeadlineExceeded",
        codes: &["DEADLINE_EXCEEDED"],
        meaning: "It took longer than the request gave it (`code` 4).",
    },
    Failure {
        status: "default",
        component: "Failure",
        codes: &[],
        meaning: "Every other failure has the same form, for example 405 for a method that the path \
                  does not have.",
    },
];

/// The error responses of an operation, by HTTP status: what the gateway itself can answer, and what
/// the comments on the rpc, its service and its request name as code. They are components, but for
/// those with an example in `own`, the operation's part of the supplement.
pub fn responses(
    binding: &Binding,
    prose: &Prose,
    schemas: &mut Schemas,
    own: &Value,
) -> BTreeMap<&'static str, RefOr<Response>> {
    let mut statuses = BTreeSet::from(["400", "401", "406", "429", "500", "503", "default"]);
    if names_something(binding) {
        statuses.insert("404");
    }
    let has = |header| own["requestHeaders"].get(header).is_some();
    if has("If-Match") || (has("If-None-Match") && binding.method != "GET") {
        statuses.insert("412");
    }
    if !matches!(binding.body, Body::None) {
        statuses.extend(["408", "413", "415"]);
    }
    let (rpc, service, request) = (
        &binding.rpc,
        binding.rpc.parent_service(),
        binding.rpc.input(),
    );
    let mut named = [prose.codes(rpc), prose.codes(service)].concat();
    named.extend(request.fields().flat_map(|field| prose.codes(&field)));
    let met = |failure: &&Failure| {
        statuses.contains(failure.status)
            || named
                .iter()
                .any(|code| failure.codes.contains(&code.as_str()))
    };
    let response = |failure: &Failure| {
        let response = match own["errors"].get(failure.status) {
            Some(example) => response(failure, schemas, Some(example)).into(),
            None => Ref::from_response_name(failure.component).into(),
        };
        (failure.status, response)
    };
    FAILURES.iter().filter(met).map(response).collect()
}

/// Whether the path names a resource, which may not exist, and not just a place to look in.
fn names_something(binding: &Binding) -> bool {
    let refers = |field: &FieldDescriptor| !reference(field).kind.is_empty();
    let named = |capture: &Capture| capture.fields.last().is_some_and(refers);
    let last = binding.template.segments.last();
    binding.captures.iter().any(named) || matches!(last, Some(Segment::One | Segment::Rest))
}

/// The components that [`responses`] refers to, of these HTTP statuses, each with its example from
/// `examples`.
pub fn components(
    statuses: &BTreeSet<String>,
    schemas: &mut Schemas,
    examples: &Value,
) -> BTreeMap<String, RefOr<Response>> {
    let component = |failure: &Failure| {
        let response = response(failure, schemas, examples.get(failure.status));
        (failure.component.to_owned(), response.into())
    };
    FAILURES
        .iter()
        .filter(|failure| statuses.contains(failure.status))
        .map(component)
        .collect()
}

fn response(failure: &Failure, schemas: &mut Schemas, example: Option<&Value>) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(schemas.add(STATUS, status())));
    let content = content.example(example.cloned()).build();
    let response = ResponseBuilder::new()
        .description(failure.meaning)
        .content(JSON, content);
    let response = with_request_id(response);
    let (name, kind, text) = match failure.status {
        "401" => (
            "WWW-Authenticate",
            Type::String,
            "`Bearer` with a realm: send a token (RFC 6750, section 3).",
        ),
        "429" | "503" => (
            "Retry-After",
            Type::Integer,
            "After how many seconds to try again, where the server can tell.",
        ),
        "default" => (
            "Allow",
            Type::String,
            "With 405: the methods that the path has, separated by commas.",
        ),
        _ => return response,
    };
    let header = HeaderBuilder::new().schema(Some(plain(kind, None)));
    response.header(name, header.description(Some(text)).build())
}

/// `google.rpc.Status` in ProtoJSON.
fn status() -> ObjectBuilder {
    let code = ObjectBuilder::from(scalar(&Kind::Int32)).description(Some(
        "The canonical code, a number of `google.rpc.Code`. Several share an HTTP status: 400 is \
         `INVALID_ARGUMENT` (3), `FAILED_PRECONDITION` (9) or `OUT_OF_RANGE` (11), 409 is \
         `ALREADY_EXISTS` (6) or `ABORTED` (10).",
    ));
    let message = ObjectBuilder::from(scalar(&Kind::String)).description(Some(
        "What went wrong, in a sentence for people. Its wording may change.",
    ));
    let kind = ObjectBuilder::from(scalar(&Kind::String)).description(Some(
        "For example `type.googleapis.com/google.rpc.ErrorInfo`.",
    ));
    let detail = ObjectBuilder::new()
        .property("@type", kind)
        .required("@type")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    let details = ArrayBuilder::new().items(detail).description(Some(
        "Facts for programs, each with its type. `google.rpc.ErrorInfo` has a stable `reason`, such as \
         `INVALID_FIELD`; `google.rpc.BadRequest` has `fieldViolations`, each with the JSON path of a \
         `field` and a `description` of what is wrong with it; `google.rpc.RequestInfo` has the `requestId` \
         by which the server's log knows the request, and in `servingData` the trace that it is a part of. \
         Pass over types that you do not know.",
    ));
    ObjectBuilder::new()
        .description(Some("Why a request failed: a `google.rpc.Status`."))
        .property("code", code)
        .property("message", message)
        .property("details", details)
        .required("code")
        .required("message")
}
