//! Which web pages of other origins may call the API (the Fetch standard's CORS). Off unless a
//! setting names origins. Cookies and other credentials of browsers are never allowed: who is
//! calling is told by the token that the page itself sends.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::transcode::REQUEST_ID;

/// How long a browser may remember what it was allowed.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// The layer that lets pages of these origins in, such as `https://lab.example.com`; `*` is all.
/// None where there are none. It answers every OPTIONS itself.
pub fn cors(origins: &[String]) -> Option<CorsLayer> {
    (!origins.is_empty()).then(|| layer(origins))
}

fn layer(origins: &[String]) -> CorsLayer {
    let origins = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let values = origins
            .iter()
            .map(String::as_str)
            .map(HeaderValue::from_str);
        AllowOrigin::list(values.filter_map(Result::ok))
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static("grpc-timeout"),
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("prefer"),
            HeaderName::from_static("traceparent"),
            HeaderName::from_static("tracestate"),
            REQUEST_ID,
            HeaderName::from_static("x-request-timeout"),
        ])
        .expose_headers(Any)
        .max_age(MAX_AGE)
}
