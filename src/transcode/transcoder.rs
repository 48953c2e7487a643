//! All routes together: which one a request belongs to, and the answers where it belongs to none.

use std::borrow::{Borrow, BorrowMut};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::TryFutureExt;
use futures_util::future::{Either, ready};
use http::{HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use tower::Service;

use super::matcher::{Conflict, Matcher, Split};
use super::rejection::Rejection;
use super::route::{Answer, Route};
use super::row::Binding;
use super::{Limits, Request};

/// Answers every route it is given, 404 what it does not know, 405 what it knows under another
/// method, and OPTIONS. Clones share the routes.
///
/// As a service it answers all requests. Whoever wants to have a say before the method is called, to
/// authenticate for one, asks it to [`find`](Self::find) the [`Call`] that a request makes.
#[derive(Clone)]
pub struct Transcoder {
    matcher: Arc<Matcher<Route>>,
    limits: Limits,
    hint: &'static str,
}

/// A request that has a route. Nothing of it has been read but its method and path.
pub struct Call {
    route: Route,
    split: Split,
    request: Request,
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
            limits,
            hint: "",
        })
    }

    /// What 404 says at the end of its sentence, such as where all paths are listed.
    #[must_use]
    pub fn with_hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// The call that a request makes.
    ///
    /// # Errors
    /// The request, if it has no route.
    #[expect(
        clippy::result_large_err,
        reason = "it is the request, which goes another way"
    )]
    pub fn find(&self, request: Request) -> Result<Call, Request> {
        let method = request.method().as_str();
        let Some(found) = self.matcher.find(method, request.uri().path()) else {
            return Err(request);
        };
        Ok(Call {
            route: found.route.clone(),
            split: found.split,
            request,
            limits: self.limits,
        })
    }

    /// A route has this path, whatever its method.
    #[must_use]
    pub fn knows(&self, path: &str) -> bool {
        !self.matcher.methods(path).is_empty()
    }

    /// What is answered to a request that has no route.
    #[must_use]
    pub fn refuse(&self, request: &Request) -> Response {
        let path = request.uri().path();
        let declared = self.matcher.methods(path);
        if path == "*" && request.method() == Method::OPTIONS {
            // It asks for the server, and no more (RFC 9110, section 9.3.7).
            StatusCode::NO_CONTENT.into_response()
        } else if declared.is_empty() {
            Rejection::not_found(path, self.hint).into_response()
        } else {
            wrong_method(request.method(), path, &declared)
        }
    }
}

impl Call {
    /// The row that the request belongs to.
    #[must_use]
    pub fn binding(&self) -> &'static Binding {
        self.route.binding()
    }

    /// Reads the request and answers it. HEAD is answered with the body of GET; the caller takes it off
    /// with [`without_body`].
    #[must_use]
    pub fn answer(self) -> Answer {
        let Self {
            route,
            split,
            request,
            limits,
        } = self;
        route.answer(request, split, limits)
    }
}

impl Borrow<Request> for Call {
    fn borrow(&self) -> &Request {
        &self.request
    }
}

impl BorrowMut<Request> for Call {
    fn borrow_mut(&mut self) -> &mut Request {
        &mut self.request
    }
}

impl Service<Request> for Transcoder {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answer {
        let is_head = request.method() == Method::HEAD;
        let answer = match self.find(request) {
            Ok(call) => call.answer(),
            Err(request) => Either::Left(ready(Ok(self.refuse(&request)))),
        };
        if is_head {
            Either::Right(Box::pin(answer.map_ok(without_body)))
        } else {
            answer
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

/// What HEAD answers: the headers of GET, the length of the body included, without the body. HTTP/1.1
/// has no other way to send it, and HTTP/2 must not be given one (RFC 9110, section 9.3.2).
#[must_use]
pub fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if never_has_body(parts.status) {
        parts.headers.remove(header::CONTENT_LENGTH);
    } else if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        // One without anything in it may be what axum has left of it, which tells the length if it knows.
        let known = parts.headers.entry(header::CONTENT_LENGTH);
        known.or_insert_with(|| length.into());
    }
    Response::from_parts(parts, Body::empty())
}

/// No such answer has a body, nor tells the length of one, whatever the method (RFC 9110, section 8.6; of
/// 304 that of what it stands for may be told, and is not known).
#[must_use]
pub fn never_has_body(status: StatusCode) -> bool {
    [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}
