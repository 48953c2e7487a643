//! Which HTTP headers a service sees as metadata, and which of its metadata becomes headers.

use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use tonic::metadata::MetadataMap;

/// What a request is known by in logs and errors.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Request headers that become metadata under their own name.
fn is_forwarded(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "if-match"
            | "if-none-match"
            | "last-event-id"
            | "prefer"
            | "traceparent"
            | "tracestate"
            | "user-agent"
            | "x-request-id"
    )
}

/// The name under which a request header becomes metadata. Every one that is not forwarded as it is stays
/// out, save with the prefix `Grpc-Metadata-`, which is taken off.
fn forwarded(name: &HeaderName) -> Option<HeaderName> {
    if is_forwarded(name.as_str()) {
        return Some(name.clone());
    }
    let inner = name.as_str().strip_prefix(PREFIX)?;
    let inner = HeaderName::try_from(inner).ok()?;
    (!has_a_way_of_its_own(&inner)).then_some(inner)
}

const PREFIX: &str = "grpc-metadata-";

/// Metadata that would contradict the HTTP message it travels in: what describes the message, and
/// what belongs to one connection (RFC 9110, section 7.6.1).
static KEPT_BACK: [HeaderName; 14] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("grpc-status-details-bin"),
];

/// The call that a request makes, with its extensions.
pub fn request<M>(parts: Parts, message: M) -> tonic::Request<M> {
    let mut metadata = HeaderMap::new();
    let has_options = parts.headers.contains_key(header::CONNECTION);
    for (name, value) in &parts.headers {
        if let Some(forwarded) = forwarded(name)
            && !(has_options && is_of_the_connection(name, &parts.headers))
        {
            metadata.append(forwarded, value.clone());
        }
    }
    tonic::Request::from_parts(
        MetadataMap::from_headers(metadata),
        parts.extensions,
        message,
    )
}

/// The prefix says nothing new: the header is forwarded as it is, belongs to the HTTP message, or is
/// reserved by gRPC (gRPC over HTTP/2, "Custom-Metadata"). A second way in would be one around whoever
/// looks at the first.
fn has_a_way_of_its_own(name: &HeaderName) -> bool {
    let text = name.as_str();
    is_forwarded(text) || KEPT_BACK.contains(name) || text.starts_with("grpc-")
}

/// The `Connection` header names it: it concerns this one connection alone.
fn is_of_the_connection(name: &HeaderName, headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::CONNECTION).iter();
    let mut names = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    names.any(|own| own.trim().eq_ignore_ascii_case(name.as_str()))
}

/// The headers that a service's metadata becomes.
pub fn response(metadata: MetadataMap) -> HeaderMap {
    let mut headers = metadata.into_headers();
    if headers.keys().any(|name| KEPT_BACK.contains(name)) {
        for name in &KEPT_BACK {
            headers.remove(name);
        }
    }
    headers
}
