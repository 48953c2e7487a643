//! The last step of every failure: a `google.rpc.Status` in ProtoJSON under the HTTP status that
//! belongs to its code. The one place of this room that decides HTTP status codes.

use std::error::Error;
use std::fmt::Display;
use std::sync::{Arc, OnceLock};

use axum::Extension;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prost::Message as _;
use tonic::Code;

use super::pretty::{Pretty, indented};
use super::{metadata, negotiate};
use crate::fault::{Fault, detail, proto_of, reason_of, shortened, tell_request};
use crate::proto::google::rpc;
use crate::proto::json;

/// The longest path, in bytes, that an error shows whole.
const LONGEST_PATH: usize = 400;

/// The reason of a refused body that is too long.
pub const BODY_TOO_LARGE: &str = "BODY_TOO_LARGE";

/// The reason of a refused body that is packed in a way that nobody unpacks.
pub const UNSUPPORTED_CONTENT_ENCODING: &str = "UNSUPPORTED_CONTENT_ENCODING";

/// A request that is answered with an error.
#[derive(Debug)]
pub struct Rejection {
    http: StatusCode,
    status: rpc::Status,
    /// Boxed, because most requests are not rejected and every result has room for one that is.
    headers: Box<HeaderMap>,
}

impl Rejection {
    /// A failure for which HTTP has a better status than that of its code, such as 412 or 415.
    #[must_use]
    pub fn new(http: StatusCode, fault: Fault) -> Self {
        Self {
            http,
            ..fault.into()
        }
    }

    /// 404: no route has this path. `hint` says where to look instead.
    pub fn not_found(path: &str, hint: &str) -> Self {
        let path = shortened(path.to_owned(), LONGEST_PATH);
        let message = format!("nothing is served at {path}{hint}");
        Fault::new(Code::NotFound, "PATH_NOT_FOUND", message).into()
    }

    /// 405: a route has this path, none with this method (RFC 9110, section 15.5.6).
    pub fn wrong_method(method: &Method, path: &str, allow: &str) -> Self {
        let path = shortened(path.to_owned(), LONGEST_PATH);
        let method = shortened(method.to_string(), LONGEST_PATH);
        let message = format!("{method} is not allowed on {path}; allowed methods: {allow}");
        let fault = Fault::new(Code::Unimplemented, "METHOD_NOT_ALLOWED", message);
        Self::new(StatusCode::METHOD_NOT_ALLOWED, fault)
    }

    /// 406: none of the media types that the request accepts can be had (section 15.5.7).
    pub fn not_acceptable(offers: &[&str]) -> Self {
        let message = format!(
            "none of the media types in Accept can be sent; this path has: {}",
            offers.join(", ")
        );
        let fault = Fault::invalid_argument("NOT_ACCEPTABLE", message);
        Self::new(StatusCode::NOT_ACCEPTABLE, fault)
    }

    /// 415: the body is of a media type that is not read. The answer says which is (RFC 9110, section
    /// 15.5.16; for PATCH RFC 5789, section 2.2).
    pub fn unsupported_media_type(found: &str, method: &str) -> Self {
        let message = format!(
            "a request body must be JSON in UTF-8; send it with `Content-Type: {}`, not {found}",
            negotiate::JSON
        );
        let fault = Fault::invalid_argument("UNSUPPORTED_MEDIA_TYPE", message);
        let mut rejection = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, fault);
        let json = HeaderValue::from_static(negotiate::JSON);
        if method == "PATCH" {
            let accept_patch = HeaderName::from_static("accept-patch");
            rejection.headers.insert(accept_patch, json.clone());
        }
        rejection.headers.insert(header::ACCEPT, json);
        rejection
    }

    /// 415: the body is packed, and nobody has unpacked it (RFC 9110, section 15.5.16).
    pub fn unsupported_encoding(found: &str) -> Self {
        let message = format!(
            "Content-Encoding {found} is not supported; send the request body uncompressed"
        );
        let fault = Fault::invalid_argument(UNSUPPORTED_CONTENT_ENCODING, message);
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, fault)
    }

    /// 413: the body is longer than `limit` bytes (section 15.5.14).
    fn too_large(limit: usize) -> Self {
        let message = format!("the request body is longer than {limit} bytes");
        let fault = Fault::new(Code::ResourceExhausted, BODY_TOO_LARGE, message);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, fault)
    }

    /// 415: it cannot be told of which media type the body is.
    pub fn unclear_media_type(found: &str) -> Self {
        let message = format!("send the request body with one Content-Type, not {found}");
        let fault = Fault::invalid_argument("UNSUPPORTED_MEDIA_TYPE", message);
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, fault)
    }

    /// 500, of which the caller learns nothing; the log has `what` went wrong, and why.
    pub fn internal(what: &str, cause: impl Display) -> Self {
        tracing::error!(error = %cause, "{what}");
        Fault::new(Code::Internal, "INTERNAL", "internal error").into()
    }
}

/// Reads a request's body.
///
/// # Errors
/// 413 where it is longer than `limit` bytes; INVALID_ARGUMENT where it breaks off; a status that
/// the body fails with.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, Rejection> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    // A body that says how long it is need not be asked for (`Expect: 100-continue`) or waited for.
    if usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX) > limit {
        return Err(Rejection::too_large(limit));
    }
    let failure = match Limited::new(body, limit).collect().await {
        Ok(whole) => return Ok(whole.to_bytes()),
        Err(failure) => failure,
    };
    if failure.is::<LengthLimitError>() {
        return Err(Rejection::too_large(limit));
    }
    // Who gave up on the body says why.
    let mut cause: Option<&(dyn Error + 'static)> = Some(&*failure);
    while let Some(error) = cause {
        if let Some(status) = error.downcast_ref::<tonic::Status>() {
            return Err(status.clone().into());
        }
        cause = error.source();
    }
    Err(Fault::invalid_argument(
        "BODY_INCOMPLETE",
        "the request body ended early, or does not match its Content-Encoding",
    )
    .into())
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        let http = http_status(fault.code());
        Self {
            http,
            status: fault.into_proto(),
            headers: Box::default(),
        }
    }
}

impl From<tonic::Status> for Rejection {
    fn from(status: tonic::Status) -> Self {
        if status.code() == Code::Ok {
            return Self::internal("a method failed without an error code", status.message());
        }
        let headers = Box::new(metadata::response(status.metadata().clone()));
        Self {
            http: http_status(status.code()),
            status: proto_of(&status),
            headers,
        }
    }
}

impl From<Rejection> for tonic::Status {
    /// The same for gRPC, which has no HTTP status to give.
    fn from(rejection: Rejection) -> Self {
        let code = Code::from_i32(rejection.status.code);
        let details = rejection.status.encode_to_vec();
        Self::with_details(code, rejection.status.message, details.into())
    }
}

impl IntoResponse for Rejection {
    fn into_response(mut self) -> Response {
        if self.http == StatusCode::UNAUTHORIZED
            && !self.headers.contains_key(header::WWW_AUTHENTICATE)
        {
            self.headers
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after(&self.status) {
            self.headers.insert(header::RETRY_AFTER, seconds.into());
        }
        let json = to_json(&self.status);
        let content_type = [(header::CONTENT_TYPE, negotiate::JSON)];
        let status = Extension(Refused(Arc::new(self.status)));
        (self.http, *self.headers, content_type, status, json).into_response()
    }
}

/// The status that an error response was made of.
#[derive(Clone)]
struct Refused(Arc<rpc::Status>);

/// The code and the reason of a response that came of a [`Rejection`], until [`with_request_info`] has
/// seen it.
#[must_use]
pub fn refusal(response: &Response) -> Option<(Code, Option<String>)> {
    let Refused(status) = response.extensions().get()?;
    Some((Code::from_i32(status.code), reason_of(status)))
}

/// What tells a request from others, for a stream that fails once its response has gone out.
#[derive(Clone, Debug, Default)]
pub struct LateInfo(Arc<OnceLock<rpc::RequestInfo>>);

/// Adds `google.rpc.RequestInfo` to a response that came of a [`Rejection`], and to the error that a stream may
/// end with: by that somebody who reports the error can be told from others. Any other response stays as
/// it is.
#[must_use]
pub fn with_request_info(
    mut response: Response,
    info: impl FnOnce() -> rpc::RequestInfo,
) -> Response {
    let Some(Refused(status)) = response.extensions_mut().remove() else {
        if let Some(LateInfo(late)) = response.extensions().get() {
            late.get_or_init(info);
        }
        return response;
    };
    let mut status = Arc::unwrap_or_clone(status);
    tell_request(&mut status, &info());
    // Neither the length nor the packing of the body without it holds for the one with it. Where the
    // body was left out already, it stays out.
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().remove(header::CONTENT_ENCODING);
    if response.body().is_end_stream() {
        return response;
    }
    let json = to_json(&status);
    let is_pretty = response.extensions().get::<Pretty>().is_some();
    response.map(|_| if is_pretty { indented(&json) } else { json }.into())
}

/// The status in JSON; without its details if they have no JSON form.
fn to_json(status: &rpc::Status) -> Vec<u8> {
    json::to_vec(status).unwrap_or_else(|cause| {
        tracing::error!(error = %cause, "the details of an error could not be written as JSON");
        let plain = rpc::Status {
            details: vec![],
            ..status.clone()
        };
        json::to_vec(&plain).unwrap_or_default()
    })
}

/// The whole seconds of a `RetryInfo`, rounded up (RFC 9110, section 10.2.3).
fn retry_after(status: &rpc::Status) -> Option<u64> {
    let delay = detail::<rpc::RetryInfo>(status)?.retry_delay?;
    let more = u64::from(delay.nanos > 0);
    u64::try_from(delay.seconds)
        .ok()
        .map(|seconds| seconds + more)
}

/// The status as one JSON value: the last record of a stream that fails.
pub fn record(status: tonic::Status, LateInfo(info): &LateInfo) -> Vec<u8> {
    let Rejection { mut status, .. } = status.into();
    if let Some(info) = info.get() {
        tell_request(&mut status, info);
    }
    to_json(&status)
}

/// As `google/rpc/code.proto` maps them; a code it does not know is 500.
pub fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // An error that says it is none is a fault of ours.
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wkt;

    #[test]
    fn a_detail_that_cannot_be_read_is_sent_as_its_bytes() {
        let kept = wkt::Any::of(&rpc::RetryInfo::default());
        let broken = wkt::Any {
            value: vec![0xff],
            ..kept.clone()
        };
        let status = rpc::Status {
            code: 5,
            message: "gone".to_owned(),
            details: vec![kept.clone(), broken, kept],
        };
        let json = String::from_utf8(to_json(&status)).unwrap();
        assert_eq!(json.matches("RetryInfo").count(), 3, "{json}");
        assert!(json.contains("gone") && json.contains("\"/w==\""), "{json}");
    }

    #[test]
    fn an_error_does_not_grow_with_its_path() {
        let path = "/x".repeat(30_000);
        let (missing, wrong) = (
            Rejection::not_found(&path, ""),
            Rejection::wrong_method(&Method::PUT, &path, "GET"),
        );
        for rejection in [missing, wrong] {
            let length = rejection.status.message.len();
            assert!(length < 600, "{length} bytes");
        }
    }

    /// `google/rpc/code.proto`, of each code; an error that says it is none is one of ours.
    #[test]
    fn every_code_has_its_status() {
        let expected = [
            (Code::Ok, 500),
            (Code::Cancelled, 499),
            (Code::Unknown, 500),
            (Code::InvalidArgument, 400),
            (Code::DeadlineExceeded, 504),
            (Code::NotFound, 404),
            (Code::AlreadyExists, 409),
            (Code::PermissionDenied, 403),
            (Code::ResourceExhausted, 429),
            (Code::FailedPrecondition, 400),
            (Code::Aborted, 409),
            (Code::OutOfRange, 400),
            (Code::Unimplemented, 501),
            (Code::Internal, 500),
            (Code::Unavailable, 503),
            (Code::DataLoss, 500),
            (Code::Unauthenticated, 401),
        ];
        for (number, (code, status)) in (0..).zip(expected) {
            assert_eq!(code as i32, number);
            let response = Rejection::from(tonic::Status::new(code, "x")).into_response();
            assert_eq!(response.status(), status, "{code:?}");
            let told = if code == Code::Ok {
                Code::Internal
            } else {
                code
            };
            let told = (told, Some(crate::fault::code_name(told).to_owned()));
            assert_eq!(refusal(&response), Some(told));
        }
    }

    #[test]
    fn seconds_to_wait_are_rounded_up() {
        for (seconds, nanos, expected) in [
            (2, 0, Some(2)),
            (2, 1, Some(3)),
            (0, 0, Some(0)),
            (-1, 0, None),
        ] {
            let retry_delay = Some(wkt::Duration { seconds, nanos });
            let status = rpc::Status {
                details: vec![wkt::Any::of(&rpc::RetryInfo { retry_delay })],
                ..rpc::Status::default()
            };
            assert_eq!(retry_after(&status), expected, "{seconds} {nanos}");
        }
    }

    #[tokio::test]
    async fn an_indented_error_has_its_request_id_too() {
        for is_pretty in [false, true] {
            let mut response = Rejection::not_found("/x", "").into_response();
            if is_pretty {
                response.extensions_mut().insert(Pretty);
            }
            let info = || rpc::RequestInfo {
                request_id: "abc".to_owned(),
                ..rpc::RequestInfo::default()
            };
            let response = with_request_info(response, info);
            let json = response.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8(json.to_vec()).unwrap();
            let id = if is_pretty {
                "\n      \"requestId\": \"abc\""
            } else {
                "\"requestId\":\"abc\""
            };
            assert!(text.contains(id), "{text}");
            assert_eq!(text.ends_with("}\n"), is_pretty, "{text}");
        }
    }
}
