//! What the server refuses by itself, and what HTTP has words for that a `google.rpc.Code` has not: the
//! transcoder knows the codes alone.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, Version, header};

use super::packing::CODINGS;
use crate::call;
use crate::fault::Fault;
use crate::lease::ETAG_MISMATCH;
use crate::load::BODY_TOO_SLOW;
use crate::transcode::{Rejection, UNSUPPORTED_CONTENT_ENCODING, refusal};

/// 414: the URL is too long (RFC 9110, section 15.5.15).
pub fn url_too_long(what: &str, limit: usize) -> Rejection {
    let message = format!("the {what} is longer than {limit} bytes");
    let fault = Fault::invalid_argument("URL_TOO_LONG", message);
    Rejection::new(StatusCode::URI_TOO_LONG, fault)
}

/// 431: there are too many header fields (RFC 6585, section 5).
pub fn too_many_headers(limit: usize) -> Rejection {
    let message = format!("the request has more than {limit} header fields");
    let fault = Fault::invalid_argument("TOO_MANY_HEADERS", message);
    Rejection::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, fault)
}

/// 415: what came to a path of gRPC is not gRPC (gRPC over HTTP/2, "Content-Type"; RFC 9110, section
/// 15.5.16).
pub fn not_grpc() -> Response {
    let message = "this path speaks gRPC; send it with `Content-Type: application/grpc`";
    let fault = Fault::invalid_argument("UNSUPPORTED_MEDIA_TYPE", message);
    let rejection = Rejection::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, fault);
    let accept = [(header::ACCEPT, "application/grpc")];
    (accept, rejection).into_response()
}

/// 400: the request is for no path of this server (RFC 9112, section 3.2): a proxy is asked for another
/// host so, or somebody forgot the slash.
pub fn no_path() -> Rejection {
    let message = "the request is for no path; one begins with `/`";
    Fault::invalid_argument("INVALID_TARGET", message).into()
}

/// Says a refusal as HTTP does: 412 where a condition does not hold, 408 where a body takes too long
/// (RFC 9110, sections 15.5.13 and 15.5.9), and which packed bodies are read (section 15.5.16).
pub fn in_words_of_http(response: &mut Response) {
    let Some((_, Some(reason))) = refusal(response) else {
        return;
    };
    match reason.as_str() {
        ETAG_MISMATCH => *response.status_mut() = StatusCode::PRECONDITION_FAILED,
        BODY_TOO_SLOW => {
            *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
            call::note_unread();
        }
        UNSUPPORTED_CONTENT_ENCODING => {
            if let Ok(codings) = HeaderValue::try_from(CODINGS.join(", ")) {
                let headers = response.headers_mut();
                headers.insert(header::ACCEPT_ENCODING, codings);
            }
        }
        _ => {}
    }
}

/// The connection ends where the rest of a body is not read (RFC 9112, section 9.6), of which HTTP/2 has no
/// need.
pub fn close(version: Version, response: &mut Response) {
    if version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
}
