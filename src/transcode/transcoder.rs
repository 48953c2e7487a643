//! The HTTP service made of all routes: what is found goes through the layers to its route, what is
//! not is answered here.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, Ready, ready};
use http::{HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use tower::util::Oneshot;
use tower::{Layer, Service, ServiceExt};

use super::matcher::{Conflict, Matcher, Outcome};
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

impl<S> Service<Request> for Transcoder<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Oneshot<S, Request>, Either<Ready<Result<Response, Infallible>>, Answer>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let path = request.uri().path();
        let route = match self.matcher.find(request.method().as_str(), path) {
            Outcome::Found(found) => found.route.clone(),
            Outcome::NotFound => return answered(Rejection::not_found(path).into_response()),
            Outcome::WrongMethod(declared) => {
                return answered(wrong_method(request.method(), path, &declared));
            }
        };
        let head = request.method() == Method::HEAD;
        request.extensions_mut().insert(route);
        let answer = self.inner.clone().oneshot(request);
        if !head {
            return Either::Left(answer);
        }
        Either::Right(Either::Right(Box::pin(async {
            Ok(without_body(answer.await?))
        })))
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

fn answered<A, B>(response: Response) -> Either<A, Either<Ready<Result<Response, Infallible>>, B>> {
    Either::Right(Either::Left(ready(Ok(response))))
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
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, Body::empty())
}
