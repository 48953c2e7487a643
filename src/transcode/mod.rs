//! `google.api.http` at run time: REST/JSON requests become calls of a tonic service trait, and its
//! answers become JSON. Generic: it is driven by rows and knows no service by name.
//!
//! ```text
//! request -> matcher -> [layers] -> receive: negotiate, read, bind -> method of the service
//!                                        response <- encode <- reply
//! ```
//!
//! [`Transcoder`] is mounted in an axum `Router`. It matches paths itself, because what axum's
//! matcher cannot express (a verb after a capture, `**` that takes nothing, the method as part of
//! the match, raw `%2F`) are the sharp edges that decide whether a gateway can be trusted.

mod bind;
mod condition;
mod deadline;
mod encoded;
mod events;
mod fields;
mod mask;
mod matcher;
mod merge;
mod metadata;
mod negotiate;
mod rejection;
mod route;
mod row;
mod stream;
mod transcoder;
#[cfg(test)]
mod vectors;

use std::future::Future;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::proto::google::api;
use condition::Condition;
use route::JsonWriter;

pub use bind::bind;
pub use deadline::Deadline;
pub use encoded::{Encoded, JsonWanted};
pub use events::{Event, Events, Follow};
pub use matcher::{Conflict, Match, Matcher, Outcome, captures};
pub use metadata::REQUEST_ID;
pub use rejection::{Rejection, with_request_id};
pub use route::Route;
pub use row::{Binding, Body, Capture, Field, Kind, Message, Segment};
pub use transcoder::{Call, Taken, Transcoder, wrong_method};

type Request = http::Request<HttpBody>;

/// What every route keeps to. A request's URL has the limit that the `http` crate gives it, 65,534
/// bytes, which bounds the number of query parameters too.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest request body, in bytes, unpacked.
    pub body: usize,
    /// The longest time that a request may ask for with `grpc-timeout` or `X-Request-Timeout`; more
    /// is lowered to it. A request that asks for none has none.
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

/// A request that was understood.
struct Received<M> {
    call: tonic::Request<M>,
    /// The media type to answer in: one of those that were on offer.
    format: &'static str,
    deadline: Deadline,
}

/// From the first byte of a request to the call that it asks for.
async fn receive<M: DeserializeOwned>(
    binding: &'static Binding,
    request: Request,
    limits: Limits,
    offers: &[&'static str],
) -> Result<Received<M>, Rejection> {
    let (parts, body) = request.into_parts();
    let content_type = negotiate::content_type(binding, &parts.headers, &body)?;
    let format = negotiate::accept(&parts.headers, offers)?;
    let deadline = Deadline::of(&parts.headers, limits.longest_call)?;
    let body = rejection::read(body, limits.body).await?;
    let captures = captures(binding, parts.uri.path());
    let message = bind::content(binding, captures, parts.uri.query(), content_type, &body)?;
    let call = metadata::request(parts, message);
    Ok(Received {
        call,
        format,
        deadline,
    })
}

/// A unary call, from the first byte of its request to the last of its response.
async fn unary<M, R, A>(
    binding: &'static Binding,
    request: Request,
    limits: Limits,
    json: &JsonWriter,
    method: impl FnOnce(tonic::Request<M>) -> A,
) -> Result<Response, Rejection>
where
    M: DeserializeOwned,
    R: Serialize,
    A: Future<Output = Result<tonic::Response<R>, tonic::Status>>,
{
    // Following makes sense for what can be asked for again and again.
    let offers: &[&str] = match binding.method {
        "GET" => &[negotiate::JSON, negotiate::SSE],
        _ => &[negotiate::JSON],
    };
    let Received {
        mut call,
        format,
        deadline,
    } = receive(binding, request, limits, offers).await?;
    if format == negotiate::SSE {
        let follow = Follow::of(&call);
        call.extensions_mut().insert(follow);
    } else if binding.response_body.is_none() {
        call.extensions_mut().insert(JsonWanted);
    }
    let condition = Condition::of(binding, call.metadata());
    let mut reply = deadline.hold(method(call)).await?;
    let events = reply.extensions_mut().remove::<Events>();
    let encoded = reply.extensions_mut().remove::<Encoded>();
    let (metadata, message, _) = reply.into_parts();
    let headers = metadata::response(metadata);
    if format == negotiate::SSE {
        let events = events.ok_or_else(|| Rejection::not_acceptable(&[negotiate::JSON]))?;
        return Ok(response(headers, format, events.into_body(deadline)));
    }
    if condition.is_some_and(|condition| condition.names(headers.get(header::ETAG))) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let body = match encoded {
        Some(Encoded(body)) => HttpBody::from(body),
        None => json.write(binding, &message)?.into(),
    };
    Ok(response(headers, format, body))
}

/// A unary call whose answer is no JSON but a `google.api.HttpBody`: `body` takes it out of the
/// reply. What the Accept header says does not count, because the type is known too late.
async fn unary_raw<M, R, A>(
    binding: &'static Binding,
    request: Request,
    limits: Limits,
    body: fn(R) -> Option<api::HttpBody>,
    method: impl FnOnce(tonic::Request<M>) -> A,
) -> Result<Response, Rejection>
where
    M: DeserializeOwned,
    A: Future<Output = Result<tonic::Response<R>, tonic::Status>>,
{
    let Received { call, deadline, .. } = receive(binding, request, limits, &[]).await?;
    let condition = Condition::of(binding, call.metadata());
    let (metadata, reply, _) = deadline.hold(method(call)).await?.into_parts();
    let headers = metadata::response(metadata);
    if condition.is_some_and(|condition| condition.names(headers.get(header::ETAG))) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let body = body(reply).unwrap_or_default();
    let kind = negotiate::kind_of(&body)?;
    Ok((headers, [(header::CONTENT_TYPE, kind)], body.data).into_response())
}

/// A server-streaming call. What fails before the first message has a status of its own.
async fn streaming<M, R, T, A>(
    binding: &'static Binding,
    request: Request,
    limits: Limits,
    method: impl FnOnce(tonic::Request<M>) -> A,
) -> Result<Response, Rejection>
where
    M: DeserializeOwned,
    R: Serialize + Send + 'static,
    T: Stream<Item = Result<R, tonic::Status>> + Send + 'static,
    A: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let offers = [negotiate::NDJSON, negotiate::SSE, negotiate::JSON];
    let received = receive(binding, request, limits, &offers).await?;
    let Received {
        call,
        format,
        deadline,
    } = received;
    let (metadata, messages, _) = deadline.hold(method(call)).await?.into_parts();
    let json = JsonWriter::default();
    let encode = move |message: &R| json.write(binding, message);
    let body = stream::body(deadline.bound(messages), format, encode).await?;
    Ok(response(metadata::response(metadata), format, body))
}

/// A server-streaming call whose answers are `google.api.HttpBody`: their data, one after the
/// other, under the content type of the first.
async fn streaming_raw<M, R, T, A>(
    binding: &'static Binding,
    request: Request,
    limits: Limits,
    body: fn(R) -> Option<api::HttpBody>,
    method: impl FnOnce(tonic::Request<M>) -> A,
) -> Result<Response, Rejection>
where
    M: DeserializeOwned,
    R: Send + 'static,
    T: Stream<Item = Result<R, tonic::Status>> + Send + 'static,
    A: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let Received { call, deadline, .. } = receive(binding, request, limits, &[]).await?;
    let (metadata, messages, _) = deadline.hold(method(call)).await?.into_parts();
    let (kind, body) = stream::raw(deadline.bound(messages), body).await?;
    let headers = metadata::response(metadata);
    Ok((headers, [(header::CONTENT_TYPE, kind)], body).into_response())
}

fn response(mut headers: HeaderMap, format: &'static str, body: HttpBody) -> Response {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format));
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}
