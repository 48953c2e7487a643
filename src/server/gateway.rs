//! The service behind every connection. Requests that a row declares go straight to the transcoder;
//! all others take the way through axum's router: documentation, health, gRPC, and the transcoder's
//! own 404 and 405. The straight way saves what a router costs, about as much as answering does.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, EXPECT};
use http::{Method, Request, Version};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

use super::HEALTH;
use super::framing;
use super::grpc;
use super::host;
use super::identify::identify;
use super::lingering::{Lingering, LingeringBody};
use super::metrics;
use super::observer::Observer;
use super::refusals::{no_path, too_many_headers, url_too_long};
use super::rest::Rest;
use super::routes::note_other_rpc;
use super::signs::Signs;
use crate::auth::Guarded;
use crate::load::{Load, overloaded};
use crate::transcode::{self, Answer, Rejection};

/// What every request keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest URL, and the longest query in it, in bytes; that bounds the number of query
    /// parameters too.
    pub url: usize,
    pub query: usize,
    /// The most header fields.
    pub headers: usize,
    /// What its call keeps to.
    pub call: transcode::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            url: 16 * 1024,
            query: 8 * 1024,
            headers: 64,
            call: transcode::Limits::default(),
        }
    }
}

/// Everything that is served, as one service; clones share it.
#[derive(Clone)]
pub struct Gateway(Arc<Ways>);

struct Ways {
    rest: Rest,
    router: Router,
    load: Load,
    limits: Limits,
    observer: Observer,
    /// Where web pages of other origins may call: what answers say of it. Those to others say that they
    /// depend on the origin, too, for caches between.
    cors: Option<CorsLayer>,
}

/// How a request is answered.
type Way = Either<Guarded<Answer>, BoxFuture<'static, Result<Response, Infallible>>>;

impl Gateway {
    /// `router` has to answer what `rest` has no row for, and also requests of `rest` that are
    /// packed.
    pub(super) fn new(
        rest: Rest,
        router: Router,
        cors: Option<CorsLayer>,
        load: Load,
        limits: Limits,
        observer: Observer,
    ) -> Self {
        Self(Arc::new(Ways {
            rest,
            router,
            load,
            limits,
            observer,
            cors,
        }))
    }
}

impl Ways {
    fn answer(self: &Arc<Self>, request: Request<Body>) -> Way {
        let signs = Signs::of(request.headers());
        let unfit = self.unfit(&request, signs);
        match &self.cors {
            Some(cors) => self.cross_origin(cors, request, signs, unfit),
            None => self.way(request, signs, unfit),
        }
    }

    /// The same in the layer for pages of other origins, which takes every OPTIONS for a browser's
    /// question and answers it. One that asks for no permission wants to know what is possible here, and
    /// one that is unfit is to hear that: they go past the layer as a GET.
    fn cross_origin(
        self: &Arc<Self>,
        cors: &CorsLayer,
        mut request: Request<Body>,
        signs: Signs,
        mut unfit: Option<Rejection>,
    ) -> Way {
        let headers = request.headers();
        let is_question = headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) && unfit.is_none();
        let method = request.method().clone();
        if method == Method::OPTIONS && !is_question {
            *request.method_mut() = Method::GET;
        }
        let ways = self.clone();
        let way = service_fn(move |mut request: Request<Body>| {
            *request.method_mut() = method.clone();
            ways.way(request, signs, unfit.take())
        });
        Either::Right(Box::pin(cors.layer(way).oneshot(request)))
    }

    /// Only the straight way is spared a box of its own: requests that take it are many, and its
    /// future is small.
    fn way(&self, request: Request<Body>, signs: Signs, unfit: Option<Rejection>) -> Way {
        if let Some(rejection) = unfit {
            let is_rpc = self.rest.is_call_of_grpc(&request);
            let refusal = refusal(is_rpc, rejection);
            return Either::Right(Box::pin(async move {
                if is_rpc {
                    note_other_rpc();
                }
                Ok(refusal)
            }));
        }
        let request = if signs.is_packed(request.method()) {
            request
        } else {
            match self.rest.take(request) {
                Ok(answer) => return Either::Left(answer),
                Err(request) => request,
            }
        };
        Either::Right(Box::pin(self.router.clone().oneshot(request)))
    }

    /// Refuses a request by its size, or because of all others, before anything looks at what is in
    /// it.
    fn unfit(&self, request: &Request<Body>, signs: Signs) -> Option<Rejection> {
        let Limits {
            url,
            query,
            headers,
            ..
        } = self.limits;
        let uri = request.uri();
        if uri.path().is_empty() {
            return Some(no_path());
        }
        let asked = uri.query().unwrap_or_default().len();
        if asked > query {
            return Some(url_too_long("query of the URL", query));
        }
        if uri.path().len() + asked > url {
            return Some(url_too_long("URL", url));
        }
        if signs.fields(request) > headers {
            return Some(too_many_headers(headers));
        }
        let refused = host::refused(request, signs).or_else(|| framing::refused(signs));
        if refused.is_some() {
            return refused;
        }
        let is_excepted = || HEALTH.contains(&uri.path()) || uri.path() == metrics::PATH;
        let is_too_much = self.load.is_full() && !is_excepted();
        is_too_much.then(|| overloaded("as many requests as it takes are under way").into())
    }
}

/// The refusal in the form that its receiver speaks.
#[cold]
pub(super) fn refusal(is_rpc: bool, rejection: Rejection) -> Response {
    if is_rpc {
        grpc::refusal(rejection)
    } else {
        rejection.into_response()
    }
}

impl<B> Service<Request<B>> for Gateway
where
    B: LingeringBody,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let ways = self.0.clone();
        let (place, observer) = (ways.load.begin(), ways.observer.clone());
        let answer = move |request| ways.answer(request);
        let answer = identify(whole(request), observer, answer);
        let answer = answer.inspect(|_| drop(place));
        Box::pin(answer)
    }
}

/// A request with a body of any kind. Most have none, and need no box for it.
fn whole<B>(request: Request<B>) -> Request<Body>
where
    B: LingeringBody,
    B::Error: Into<BoxError>,
{
    if request.body().is_end_stream() {
        return request.map(|_| Body::empty());
    }
    // As hyper understands it.
    let expects = request.headers().get(EXPECT);
    let waits = expects.is_some_and(|what| what.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let is_held_back = waits && request.version() == Version::HTTP_11;
    request.map(|body| Body::new(Lingering::new(body, is_held_back)))
}
