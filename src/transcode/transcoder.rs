//! The HTTP service made of all routes: what is found goes through the layers to its route, what is
//! not is answered here.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::TryFutureExt;
use futures_util::future::{Either, Ready, ready};
use http::{HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use tower::util::Oneshot;
use tower::{Layer, Service, ServiceExt};

use super::matcher::{Conflict, Matcher};
use super::rejection::Rejection;
use super::route::{Answer, Route};
use super::{Limits, Request};

/// An HTTP service that answers every route it is given, 404 what it does not know, 405 what it
/// knows under another method, and OPTIONS.
#[derive(Clone)]
pub struct Transcoder<S = Call> {
    matcher: Arc<Matcher<Route>>,
    inner: S,
}

/// How a request that has a route is answered.
pub type Taken<S> = Either<Oneshot<S, Request>, Answer>;

/// The innermost service: calls the route that was found, which the [`Transcoder`] put into the
/// request's extensions before any layer saw it.
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
            matcher.insert(route.binding(), route)?;
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

impl<S> Transcoder<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    /// Answers a request that has a route, and gives any other one back.
    pub fn take(&self, mut request: Request) -> Either<Taken<S>, Request> {
        let method = request.method();
        let Some(found) = self.matcher.find(method.as_str(), request.uri().path()) else {
            return Either::Right(request);
        };
        let head = method == Method::HEAD;
        request.extensions_mut().insert(found.route.clone());
        let answer = self.inner.clone().oneshot(request);
        Either::Left(if head {
            Either::Right(Box::pin(answer.map_ok(without_body)))
        } else {
            Either::Left(answer)
        })
    }
}

impl<S> Service<Request> for Transcoder<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Taken<S>, Ready<Result<Response, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let request = match self.take(request) {
            Either::Left(taken) => return Either::Left(taken),
            Either::Right(request) => request,
        };
        let path = request.uri().path();
        let declared = self.matcher.methods(path);
        let response = if path == "*" && request.method() == Method::OPTIONS {
            // It asks for the server, and no more (RFC 9110, section 9.3.7).
            StatusCode::NO_CONTENT.into_response()
        } else if declared.is_empty() {
            Rejection::not_found(path).into_response()
        } else {
            wrong_method(request.method(), path, &declared)
        };
        Either::Right(ready(Ok(response)))
    }
}

impl Service<Request> for Call {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Answer, Ready<Result<Response, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match request.extensions_mut().remove::<Route>() {
            Some(route) => Either::Left(route.answer(request, self.limits)),
            None => {
                let rejection = Rejection::not_found(request.uri().path());
                Either::Right(ready(Ok(rejection.into_response())))
            }
        }
    }
}

/// 405 with the methods that a path has been declared for, and those that come with them; to OPTIONS
/// it is the answer (RFC 9110, sections 9.3.7 and 15.5.6).
pub fn wrong_method(method: &Method, path: &str, declared: &[&'static str]) -> Response {
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
    let (mut parts, body) = response.into_parts();
    // What GET would send, but for a body that is not sent either way.
    if parts.status != StatusCode::NOT_MODIFIED
        && let Some(length) = body.size_hint().exact()
    {
        parts.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, Body::empty())
}
