//! `google.api.http` at run time: REST/JSON requests become calls of a tonic service trait, and its
//! answers become JSON. Generic: it is driven by rows and knows no service by name.
//!
//! ```text
//! request -> Transcoder -> Call -> Head: negotiate, read, bind -> method of the service
//!                                    response <- encode <- reply
//! ```
//!
//! [`Transcoder`] is a service to mount in an axum `Router`, or to be asked for the [`Call`] that a
//! request makes. It matches paths itself, because axum's matcher cannot express a verb after a capture,
//! `**` that takes nothing, the method as part of the match, and raw `%2F`; `matcher.rs` has the rules.

mod bind;
mod condition;
mod deadline;
mod events;
mod explain;
mod fields;
mod mask;
mod matcher;
mod media;
mod merge;
mod metadata;
mod negotiate;
mod prepared;
mod pretty;
mod rejection;
mod route;
mod row;
mod stream;
mod transcoder;
#[cfg(test)]
mod vectors;

use std::future::Future;
use std::ops::Deref;
use std::time::Duration;

use axum::Extension;
use axum::body::Body as HttpBody;
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, Stream};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Body as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::Fault;
use crate::proto::google::api;
use negotiate::Format;
use rejection::LateInfo;
use route::JsonWriter;

pub use bind::bind;
pub use condition::{Condition, Tag, Tags};
pub use deadline::Deadline;
pub use events::{Event, Events, Follow};
pub use matcher::{Conflict, Match, Matcher, Split};
pub use media::items;
pub use metadata::REQUEST_ID;
pub use negotiate::accept;
pub use prepared::Prepared;
pub use rejection::{
    BODY_TOO_LARGE, Rejection, UNSUPPORTED_CONTENT_ENCODING, refusal, with_request_info,
};
pub use route::{Answer, Route};
pub use row::{Binding, Body, Capture, Field, Kind, Mask, Message, Segment, Selected};
pub use transcoder::{Call, Transcoder, never_has_body, without_body, wrong_method};

type Request = http::Request<HttpBody>;

/// The stack, in bytes, of threads that calls are answered on. A body nested to
/// [`MAXIMUM_DEPTH`](crate::proto::json::MAXIMUM_DEPTH) needs less than half of it in a debug build, for a
/// message of 70 fields (test `a_hundred_levels_of_a_large_message_fit_twice`). Threads reserve address
/// space, not memory.
pub const STACK: usize = 8 * 1024 * 1024;

/// What every call keeps to. How long a URL and its query may be is for whoever accepts requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest request body, in bytes, unpacked.
    pub body: usize,
    /// The longest time that a request may ask for with `grpc-timeout` or `X-Request-Timeout`; more
    /// is lowered to it. A request that asks for none has none; one that asks for 0 seconds is answered
    /// DEADLINE_EXCEEDED at once. Streams are cut off by it, too.
    pub longest_call: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 1024 * 1024,
            longest_call: Duration::from_secs(15 * 60),
        }
    }
}

/// A request whose head was understood, and whose body is still to be read.
struct Head {
    binding: &'static Binding,
    parts: Parts,
    split: Split,
    body: HttpBody,
    /// The longest body, in bytes.
    limit: usize,
    format: Format,
    deadline: Deadline,
}

/// A request that was understood.
struct Received<M> {
    binding: &'static Binding,
    call: tonic::Request<M>,
    condition: Option<Box<Condition>>,
    format: Format,
    deadline: Deadline,
}

impl Head {
    fn new(
        binding: &'static Binding,
        request: Request,
        split: Split,
        limits: Limits,
        offers: &[&'static str],
    ) -> Result<Self, Rejection> {
        let (parts, body) = request.into_parts();
        let headers = &parts.headers;
        // Most requests have neither, and one look tells.
        let (mut has_accept, mut has_timeout) = (false, false);
        for name in headers.keys().map(|name| name.as_str()) {
            has_accept |= name == "accept";
            has_timeout |= matches!(name, "grpc-timeout" | "x-request-timeout");
        }
        negotiate::check_coding(headers)?;
        if body.size_hint().exact().is_some_and(|length| length > 0) {
            negotiate::check_type(binding, headers)?;
        }
        let format = if has_accept {
            Format::accepted(headers, offers)?
        } else {
            Format::preferred(offers)
        };
        let deadline = if has_timeout {
            Deadline::of(headers, limits.longest_call)?
        } else {
            Deadline::NONE
        };
        Ok(Self {
            binding,
            parts,
            split,
            body,
            limit: limits.body,
            format,
            deadline,
        })
    }

    /// The request, once its body is there. No `async fn`, which would hold all of this twice.
    fn read<M: DeserializeOwned + Serialize>(
        mut self,
    ) -> impl Future<Output = Result<Received<M>, Rejection>> {
        let body = std::mem::take(&mut self.body);
        // One of no known length may be empty, and then need not say what it is.
        let is_sized = body.size_hint().exact().is_some();
        let body = rejection::read(body, self.limit);
        self.deadline.hold(body).map(move |body| {
            let body = body?;
            if !is_sized && !body.is_empty() {
                negotiate::check_type(self.binding, &self.parts.headers)?;
            }
            self.with(&body)
        })
    }

    /// The request with this body.
    fn with<M: DeserializeOwned + Serialize>(self, body: &[u8]) -> Result<Received<M>, Rejection> {
        let Self {
            binding,
            parts,
            split,
            ..
        } = self;
        let path = parts.uri.path();
        let captures = split.captures(binding, path);
        let content_type = match binding.body {
            Body::Raw { .. } => negotiate::content_type(&parts.headers).ok().flatten(),
            _ => None,
        };
        let content_type = content_type.unwrap_or_default();
        let message = bind::content(binding, captures, parts.uri.query(), content_type, body)?;
        if split.has_escapes() {
            // What no variable captured is not decoded for its sake, but has to make sense too.
            matcher::decode(path, false).map_err(|why| {
                let message = format!("the path cannot be decoded: {why}");
                Fault::invalid_argument("MALFORMED_PATH", message)
            })?;
        }
        let call = metadata::request(parts, message);
        Ok(Received {
            binding,
            // Of what is no GET it is the service's business.
            condition: match binding.method {
                "GET" => Condition::of(call.metadata().as_ref())?,
                _ => None,
            },
            call,
            format: self.format,
            deadline: self.deadline,
        })
    }
}

impl<M> Received<M> {
    /// The answer that the service has prepared.
    ///
    /// # Errors
    /// Returns the request if the service has prepared none, or if the request does not want the whole
    /// answer as JSON.
    #[expect(
        clippy::result_large_err,
        reason = "it is the request, which goes another way"
    )]
    fn prepared(
        self,
        prepared: impl FnOnce(&tonic::Request<M>) -> Option<Prepared>,
    ) -> Result<Response, Self> {
        let is_wanted = self.format.name == negotiate::JSON
            && self.binding.response_body.is_none()
            && !self.deadline.is_over();
        match is_wanted.then(|| prepared(&self.call)).flatten() {
            Some(prepared) => {
                let condition = self.condition.as_deref();
                let headers = told(prepared.headers, self.format);
                let answer = |headers| Ok(response(headers, negotiate::JSON, prepared.json.into()));
                let answer = with_preconditions(condition, headers, answer);
                Ok(answer.unwrap_or_else(Rejection::into_response))
            }
            None => Err(self),
        }
    }
}

/// A unary call: calls the method and encodes its reply. The deadline covers the call, not the encoding.
fn unary<M, R, A>(
    received: Received<M>,
    json: impl Deref<Target = JsonWriter>,
    method: impl FnOnce(tonic::Request<M>) -> A,
) -> impl Future<Output = Result<Response, Rejection>>
where
    R: Serialize,
    A: Future<Output = Result<tonic::Response<R>, tonic::Status>>,
{
    let Received {
        binding,
        mut call,
        condition,
        format,
        deadline,
    } = received;
    let is_followed = format.name == negotiate::SSE;
    if is_followed {
        let follow = Follow::of(&call);
        call.extensions_mut().insert(follow);
    }
    let answer = move |reply: tonic::Response<R>| {
        let (metadata, message, mut extensions) = reply.into_parts();
        let headers = told(metadata::response(metadata), format);
        with_preconditions(condition.as_deref(), headers, |mut headers| {
            if let Some(events) = extensions.remove::<Events>().filter(|_| is_followed) {
                // That of what is followed, not of the stream.
                headers.remove(header::ETAG);
                let info = LateInfo::default();
                let body = events.into_body(deadline, info.clone());
                return Ok((Extension(info), response(headers, format.name, body)).into_response());
            }
            if !format.or_json {
                let what = "a method whose route can be followed gave no events";
                return Err(Rejection::internal(what, binding.rpc));
            }
            let json = json.write(binding, &message)?;
            Ok(response(headers, negotiate::JSON, json.into()))
        })
    };
    deadline.hold(method(call)).map(move |reply| answer(reply?))
}

/// A unary call whose answer is no JSON but a `google.api.HttpBody`: `body` takes it out of the
/// reply. What the Accept header says does not count, because the type is known too late.
fn unary_raw<M, R, A>(
    received: Received<M>,
    body: fn(R) -> Option<api::HttpBody>,
    method: impl FnOnce(tonic::Request<M>) -> A,
) -> impl Future<Output = Result<Response, Rejection>>
where
    A: Future<Output = Result<tonic::Response<R>, tonic::Status>>,
{
    let condition = received.condition;
    let answer = move |reply: tonic::Response<R>| {
        let (metadata, reply, _) = reply.into_parts();
        let headers = metadata::response(metadata);
        with_preconditions(condition.as_deref(), headers, |headers| {
            let body = body(reply).unwrap_or_default();
            let kind = negotiate::kind_of(&body)?;
            Ok((headers, [(header::CONTENT_TYPE, kind)], body.data).into_response())
        })
    };
    received
        .deadline
        .hold(method(received.call))
        .map(move |reply| answer(reply?))
}

/// A server-streaming call. What fails before the first message has a status of its own.
async fn streaming<M, R, T, A>(
    received: Received<M>,
    method: impl FnOnce(tonic::Request<M>) -> A,
) -> Result<Response, Rejection>
where
    R: Serialize + Send + 'static,
    T: Stream<Item = Result<R, tonic::Status>> + Send + 'static,
    A: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let Received {
        binding,
        call,
        format,
        deadline,
        ..
    } = received;
    let (metadata, messages, _) = deadline.hold(method(call)).await?.into_parts();
    let json = JsonWriter::default();
    let encode = move |message: &R| json.write(binding, message);
    let info = LateInfo::default();
    let messages = deadline.bound(messages);
    let body = stream::body(messages, format.name, encode, info.clone()).await?;
    let headers = told(metadata::response(metadata), format);
    Ok((Extension(info), response(headers, format.name, body)).into_response())
}

/// A server-streaming call whose answers are `google.api.HttpBody`: their data, one after the
/// other, under the content type of the first.
async fn streaming_raw<M, R, T, A>(
    received: Received<M>,
    body: fn(R) -> Option<api::HttpBody>,
    method: impl FnOnce(tonic::Request<M>) -> A,
) -> Result<Response, Rejection>
where
    R: Send + 'static,
    T: Stream<Item = Result<R, tonic::Status>> + Send + 'static,
    A: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let Received { call, deadline, .. } = received;
    let (metadata, messages, _) = deadline.hold(method(call)).await?.into_parts();
    let (kind, body) = stream::raw(deadline.bound(messages), body).await?;
    let headers = metadata::response(metadata);
    Ok((headers, [(header::CONTENT_TYPE, kind)], body).into_response())
}

/// The answer with these headers, if the preconditions hold; else 304 with the headers alone, or 412.
fn with_preconditions(
    condition: Option<&Condition>,
    headers: HeaderMap,
    answer: impl FnOnce(HeaderMap) -> Result<Response, Rejection>,
) -> Result<Response, Rejection> {
    if let Some(condition) = condition
        && condition.is_known(headers.get(header::ETAG))?
    {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    answer(headers)
}

/// The headers of an answer, which also say what it depends on where there was a choice (RFC 9110, section
/// 12.5.5).
fn told(mut headers: HeaderMap, format: Format) -> HeaderMap {
    if format.varies {
        headers.append(header::VARY, HeaderValue::from_static("accept"));
    }
    headers
}

/// Whether proxies such as nginx may hold an answer back until there is more of it.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

fn response(mut headers: HeaderMap, format: &'static str, body: HttpBody) -> Response {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format));
    if format == negotiate::SSE {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}
