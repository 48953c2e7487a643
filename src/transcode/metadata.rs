//! Which HTTP headers a service sees as metadata, and which of its metadata becomes headers.

use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use tonic::metadata::MetadataMap;

/// What a request is known by in logs and errors.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name under which a request header becomes metadata. These keep their own; every other one stays
/// out, save with the prefix `Grpc-Metadata-`, which is taken off.
fn forwarded(name: &HeaderName) -> Option<HeaderName> {
    match name.as_str() {
        "authorization" | "if-match" | "if-none-match" | "last-event-id" | "prefer"
        | "traceparent" | "tracestate" | "user-agent" | "x-request-id" => Some(name.clone()),
        other => {
            let inner = HeaderName::try_from(other.strip_prefix(PREFIX)?).ok()?;
            (!KEPT_BACK.contains(&inner)).then_some(inner)
        }
    }
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
    for (name, value) in &parts.headers {
        if let Some(forwarded) = forwarded(name)
            && !is_of_the_connection(name, &parts.headers)
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
