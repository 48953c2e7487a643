//! Every request has an id: the one it brought in `x-request-id`, or one made up here. The service
//! sees it as metadata, log lines carry it in their span, the response has it in the header of the
//! same name, and an error in its details.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use tracing::Instrument;
use uuid::Uuid;

use crate::transcode::{REQUEST_ID, with_request_id};

/// The longest id that is taken over; what is longer or not text is replaced.
const LONGEST: usize = 128;

/// The outermost step of every request.
pub async fn identify(mut request: Request, next: Next) -> Response {
    let id = brought(request.headers()).unwrap_or_else(made_up);
    let text = id.to_str().unwrap_or_default();
    let span = tracing::info_span!(
        "request",
        method = %request.method(),
        path = request.uri().path(),
        id = text,
    );
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let response = next.run(request).instrument(span).await;
    let mut response = with_request_id(response, text);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn brought(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let usable = !id.is_empty() && id.len() <= LONGEST && id.to_str().is_ok();
    usable.then(|| id.clone())
}

/// Ids that sort by age.
fn made_up() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let text = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}
