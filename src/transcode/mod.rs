//! `google.api.http` at run time: REST/JSON requests become calls of a tonic service trait, and its
//! answers become JSON. Generic: it is driven by rows and knows no service by name.
//!
//! ```text
//! request -> matcher -> [layers] -> read -> bind -> method of the service
//!                                  response <- encode <-
//! ```
//!
//! [`Transcoder`] is mounted in an axum `Router`. It matches paths itself, because what axum's
//! matcher cannot express (a verb after a capture, `**` that takes nothing, the method as part of
//! the match, raw `%2F`) are the sharp edges that decide whether a gateway can be trusted.

mod bind;
mod events;
mod fields;
mod mask;
mod matcher;
mod merge;
mod metadata;
mod negotiate;
mod rejection;
mod row;
mod stream;
#[cfg(test)]
mod vectors;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body as HttpBody;
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::{Layer, Service};

pub use bind::bind;
pub use events::{Event, Events, Follow};
pub use matcher::{Conflict, Match, Matcher, Outcome};
pub use rejection::Rejection;
pub use row::{Binding, Body, Capture, Field, Kind, Message, Segment};

type Request = http::Request<HttpBody>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What every route keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest request body, in bytes.
    pub body: usize,
}

/// A row and the method that answers it.
#[derive(Clone)]
pub struct Route {
    binding: &'static Binding,
    call: Arc<dyn Fn(Request, Found, Limits) -> BoxFuture<Response> + Send + Sync>,
}

/// Which parts of a request's path its row captures: put into the request's extensions by the
/// [`Transcoder`], before any layer sees it.
#[derive(Clone)]
pub struct Found {
    route: Route,
    /// Byte ranges of the raw path, one for each capture.
    captures: Vec<std::ops::Range<usize>>,
}

impl Route {
    /// A route to a unary method.
    pub fn unary<S, M, R, F, A>(binding: &'static Binding, service: &Arc<S>, method: F) -> Self
    where
        S: Send + Sync + 'static,
        M: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        F: Fn(Arc<S>, tonic::Request<M>) -> A + Copy + Send + Sync + 'static,
        A: Future<Output = Result<tonic::Response<R>, tonic::Status>> + Send + 'static,
    {
        let service = service.clone();
        let call = move |request, found, limits| {
            let service = service.clone();
            let answer = unary(request, found, limits, move |message| {
                method(service, message)
            });
            Box::pin(async { answer.await.unwrap_or_else(IntoResponse::into_response) }) as _
        };
        Self {
            binding,
            call: Arc::new(call),
        }
    }

    /// A route to a server-streaming method.
    pub fn streaming<S, M, R, T, F, A>(
        binding: &'static Binding,
        service: &Arc<S>,
        method: F,
    ) -> Self
    where
        S: Send + Sync + 'static,
        M: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        T: Stream<Item = Result<R, tonic::Status>> + Send + 'static,
        F: Fn(Arc<S>, tonic::Request<M>) -> A + Copy + Send + Sync + 'static,
        A: Future<Output = Result<tonic::Response<T>, tonic::Status>> + Send + 'static,
    {
        let service = service.clone();
        let call = move |request, found, limits| {
            let service = service.clone();
            let answer = streaming(request, found, limits, move |message| {
                method(service, message)
            });
            Box::pin(async { answer.await.unwrap_or_else(IntoResponse::into_response) }) as _
        };
        Self {
            binding,
            call: Arc::new(call),
        }
    }

    /// The row.
    #[must_use]
    pub fn binding(&self) -> &'static Binding {
        self.binding
    }
}

/// A unary call, from the first byte of its request to the last of its response.
async fn unary<M, R, A>(
    request: Request,
    found: Found,
    limits: Limits,
    method: impl FnOnce(tonic::Request<M>) -> A,
) -> Result<Response, Rejection>
where
    M: DeserializeOwned,
    R: Serialize,
    A: Future<Output = Result<tonic::Response<R>, tonic::Status>>,
{
    let binding = found.route.binding;
    let (parts, body) = request.into_parts();
    negotiate::content_type(&parts.headers, &body)?;
    let format = negotiate::accept(&parts.headers, &[negotiate::JSON, negotiate::SSE])?;
    let body = rejection::read(body, limits.body).await?;
    let message = bind(binding, found.captures(parts.uri.path()), parts.uri.query(), &body)?;
    let mut request = metadata::request(parts, message);
    if format == negotiate::SSE {
        // Refused before the method is called where following makes no sense.
        if binding.method != "GET" {
            return Err(Rejection::not_acceptable(&[negotiate::JSON]));
        }
        let last_event_id = request.metadata().get("last-event-id").and_then(|id| id.to_str().ok());
        let follow = Follow { last_event_id: last_event_id.map(str::to_owned) };
        request.extensions_mut().insert(follow);
    }
    let mut reply = method(request).await?;
    let events = reply.extensions_mut().remove::<Events>();
    let (metadata, message, _) = reply.into_parts();
    let headers = metadata::response(metadata);
    let content_type = [(header::CONTENT_TYPE, format)];
    match (format, events) {
        (negotiate::SSE, Some(events)) => Ok((headers, content_type, events.into_body()).into_response()),
        (negotiate::SSE, None) => Err(Rejection::not_acceptable(&[negotiate::JSON])),
        _ => Ok((headers, content_type, encode(binding, &message)?).into_response()),
    }
}

/// A server-streaming call. What fails before the first message has a status of its own.
async fn streaming<M, R, T, A>(
    request: Request,
    found: Found,
    limits: Limits,
    method: impl FnOnce(tonic::Request<M>) -> A,
) -> Result<Response, Rejection>
where
    M: DeserializeOwned,
    R: Serialize + Send + 'static,
    T: Stream<Item = Result<R, tonic::Status>> + Send + 'static,
    A: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let binding = found.route.binding;
    let (parts, body) = request.into_parts();
    negotiate::content_type(&parts.headers, &body)?;
    let format = negotiate::accept(
        &parts.headers,
        &[negotiate::NDJSON, negotiate::SSE, negotiate::JSON],
    )?;
    let body = rejection::read(body, limits.body).await?;
    let message = bind(
        binding,
        found.captures(parts.uri.path()),
        parts.uri.query(),
        &body,
    )?;
    let reply = method(metadata::request(parts, message)).await?;
    let (metadata, messages, _) = reply.into_parts();
    let body = stream::body(messages, format, move |message| encode(binding, message)).await?;
    Ok((
        metadata::response(metadata),
        [(header::CONTENT_TYPE, format)],
        body,
    )
        .into_response())
}

/// A response message as JSON: all of it, or the one field the rule selects.
fn encode<R: Serialize>(binding: &Binding, message: &R) -> Result<Vec<u8>, Rejection> {
    let Some(name) = binding.response_body else {
        return crate::proto::json::to_vec(message).map_err(Rejection::internal);
    };
    let whole = crate::proto::json::to_vec(message).map_err(Rejection::internal)?;
    let mut fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&whole).map_err(Rejection::internal)?;
    let field = fields.remove(name).unwrap_or_default();
    serde_json::to_vec(&field).map_err(Rejection::internal)
}

impl Found {
    fn captures<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        self.captures
            .iter()
            .map(|range| path.get(range.clone()).unwrap_or_default())
    }
}

/// An HTTP service that answers every route it is given, 404 what it does not know, 405 what it
/// knows under another method, and OPTIONS.
#[derive(Clone)]
pub struct Transcoder<S = Call> {
    matcher: Arc<Matcher<Route>>,
    inner: S,
}

/// The innermost service: calls the route that was found.
#[derive(Clone, Copy)]
pub struct Call {
    limits: Limits,
}

impl Transcoder {
    /// A transcoder for the routes of any number of services.
    ///
    /// # Errors
    /// Two rows claim the same requests.
    pub fn new(routes: impl IntoIterator<Item = Route>, limits: Limits) -> Result<Self, Conflict> {
        let mut matcher = Matcher::default();
        for route in routes {
            matcher.insert(route.binding, route)?;
        }
        Ok(Self {
            matcher: Arc::new(matcher),
            inner: Call { limits },
        })
    }
}

impl<S> Transcoder<S> {
    /// Puts a layer around every route: after the match, so that 404 and 405 come first, and before
    /// anything of the request is read.
    #[must_use]
    pub fn layer<L: Layer<S>>(self, layer: &L) -> Transcoder<L::Service> {
        Transcoder {
            matcher: self.matcher,
            inner: layer.layer(self.inner),
        }
    }
}

impl<S> Service<Request> for Transcoder<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let path = request.uri().path();
        let response = match self.matcher.find(request.method().as_str(), path) {
            Outcome::NotFound => Rejection::not_found(path).into_response(),
            Outcome::WrongMethod(declared) => wrong_method(request.method(), path, &declared),
            Outcome::Found(found) => {
                let found = Found {
                    route: found.route.clone(),
                    captures: found.captures().collect(),
                };
                let head = request.method() == Method::HEAD;
                request.extensions_mut().insert(found);
                let answer = tower::ServiceExt::oneshot(self.inner.clone(), request);
                return Box::pin(async move {
                    let response = answer.await?;
                    Ok(if head {
                        without_body(response)
                    } else {
                        response
                    })
                });
            }
        };
        Box::pin(async { Ok(response) })
    }
}

impl Service<Request> for Call {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let Some(found) = request.extensions_mut().remove::<Found>() else {
            let response = Rejection::not_found(request.uri().path()).into_response();
            return Box::pin(async { Ok(response) });
        };
        let answer = (found.route.call.clone())(request, found, self.limits);
        Box::pin(async { Ok(answer.await) })
    }
}

/// 405, or the answer to OPTIONS (RFC 9110, sections 9.3.7 and 15.5.6).
fn wrong_method(method: &Method, path: &str, declared: &[&'static str]) -> Response {
    let mut allow: Vec<&str> = declared.to_vec();
    if declared.contains(&"GET") && !declared.contains(&"HEAD") {
        allow.push("HEAD");
    }
    if !declared.contains(&"OPTIONS") {
        allow.push("OPTIONS");
    }
    allow.sort_unstable();
    let allow = allow.join(", ");
    let mut response = if method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        Rejection::wrong_method(method, path, &allow).into_response()
    };
    if let Ok(allow) = HeaderValue::from_str(&allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// What HEAD answers: the headers of GET, the length of the body included, without the body.
fn without_body(response: Response) -> Response {
    use http_body::Body as _;
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, HttpBody::empty())
}
