//! The introduction of a document: what its services are, and how every method of the gateway
//! speaks HTTP and JSON.

use serde_json::Value;

use super::prose::Prose;
use crate::codegen::annotations::Resource;
use crate::codegen::rules::Service;

/// The text, in Markdown. It begins with the `description` of `info` in the supplement.
pub fn text(info: &Value, services: &[Service], resources: &[Resource], prose: &Prose) -> String {
    let first = info["description"].as_str().map(str::to_owned);
    let services_say = services.iter().map(|service| prose.of(&service.descriptor));
    let mut paragraphs: Vec<String> = first
        .into_iter()
        .chain(services_say)
        .filter(|text| !text.is_empty())
        .collect();
    paragraphs.extend(resource_names(services, resources));
    paragraphs.push(JSON.to_owned());
    if pages(services) {
        paragraphs.push(PAGING.to_owned());
    }
    paragraphs.push(ERRORS.to_owned());
    paragraphs.push(REQUESTS.to_owned());
    paragraphs.join("\n\n")
}

const JSON: &str = "**JSON.** Bodies and answers are ProtoJSON: names in lowerCamelCase, enum values by \
name, 64-bit integers as strings, times in RFC 3339 (`2026-01-31T22:00:00Z`), durations in seconds with \
an `s` (`1800s`), bytes in base64. An answer spells defaults out (`\"\"`, `0`, `false`, `[]`, `{}`), but \
leaves out an optional field or a message that is not set. A request may leave out what is not required, \
and may write `null` for it; a field or a query parameter that does not exist is refused.";

const PAGING: &str = "**Paging.** A list comes in pages. Send `nextPageToken` back as `pageToken`, with all \
other parameters as they were, until it is empty. A page can be shorter than `pageSize`, and still not be \
the last one.";

const ERRORS: &str = "**Errors.** Every failure is a `google.rpc.Status`: `code` is the canonical gRPC code, \
`message` is for people, and `details` are for programs. Depend on `code` and on the `reason` in \
`google.rpc.ErrorInfo`, not on the wording of `message`.";

const REQUESTS: &str = "**Every request.** An `X-Request-Id` of up to 128 visible ASCII characters comes back in \
the answer and in the details of an error, and stands in the server's log; a request without one is given \
one. With `X-Request-Timeout: 30` a call that is not done after 30 seconds ends as `DEADLINE_EXCEEDED`, \
HTTP 504; the server may lower what it deems too long. With the query parameter `$prettyPrint=true` the JSON \
of an answer is indented.";

/// How the resources that a client of the services meets are named.
fn resource_names(services: &[Service], resources: &[Resource]) -> Option<String> {
    let package = |resource: &&Resource| {
        let message = resource.message.as_ref();
        message.is_some_and(|message| {
            services
                .iter()
                .any(|service| service.descriptor.package_name() == message.package_name())
        })
    };
    let patterns = resources
        .iter()
        .filter(package)
        .flat_map(|resource| &resource.patterns);
    let patterns: Vec<_> = patterns.map(|pattern| format!("`{pattern}`")).collect();
    (!patterns.is_empty()).then(|| {
        format!(
            "**Resource names.** A resource is called by its path from the root: {}. The same path stands in \
             the URL, with one parameter for each part that varies.",
            patterns.join(", ")
        )
    })
}

fn pages(services: &[Service]) -> bool {
    let mut bindings = services.iter().flat_map(|service| &service.bindings);
    bindings.any(|binding| {
        binding
            .rpc
            .input()
            .get_field_by_name("page_token")
            .is_some()
    })
}
