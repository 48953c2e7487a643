//! Which web pages of other origins may call the API (the Fetch standard's CORS). Off unless a
//! setting names origins. Cookies and other credentials of browsers are never allowed: who is
//! calling is told by the token that the page itself sends.

use std::time::Duration;

use http::{HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

/// How long a browser may remember what it was allowed.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// The layer that lets pages of these origins in, such as `https://lab.example.com`; `*` is all.
/// None where there are none. It answers every OPTIONS itself.
pub fn cors(origins: &[String]) -> Option<CorsLayer> {
    (!origins.is_empty()).then(|| layer(origins))
}

/// A page may send any header, as it asks for them: those of metadata have any name, and without
/// credentials of the browser's a header is worth no more than a page knows itself. An answer to this question is
/// kept by no cache between (RFC 9110, section 9.3.7), and no other depends on what is asked for: so `Vary`
/// tells of origins alone, where they matter.
fn layer(origins: &[String]) -> CorsLayer {
    let is_open = origins.iter().any(|origin| origin == "*");
    let (origins, vary) = if is_open {
        (AllowOrigin::any(), vec![])
    } else {
        let values = origins
            .iter()
            .map(String::as_str)
            .map(HeaderValue::from_str);
        let values = values.filter_map(Result::ok);
        (AllowOrigin::list(values), vec![header::ORIGIN])
    };
    CorsLayer::new()
        .allow_origin(origins)
        .vary(vary)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(Any)
        .max_age(MAX_AGE)
}
