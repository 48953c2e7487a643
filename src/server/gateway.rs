//! The service behind every connection. Requests that a row declares go straight to the transcoder;
//! all others take the way through axum's router: documentation, health, gRPC, and the transcoder's
//! own 404 and 405. The straight way saves what a router costs, about as much as answering does.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use http::Request;
use http::header::ORIGIN;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_http::cors::CorsLayer;

use super::identify::identify;
use super::is_packed;
use crate::auth::{Authenticated, is_grpc};
use crate::transcode::{Call, Taken, Transcoder};

/// Everything that is served, as one service; clones share it.
#[derive(Clone)]
pub struct Gateway(Arc<Ways>);

struct Ways {
    rest: Rest,
    router: Router,
    /// For requests of web pages, where those of other origins may call.
    cross_origin: Option<BoxCloneSyncService<Request<Body>, Response, Infallible>>,
}

/// The transcoder behind authentication.
pub type Rest = Transcoder<Authenticated<Call>>;

/// How a request is answered.
type Way = Either<Taken<Authenticated<Call>>, BoxFuture<'static, Result<Response, Infallible>>>;

impl Gateway {
    /// `router` has to answer what `rest` has no row for, and also requests of `rest` that are
    /// packed or speak gRPC.
    pub(super) fn new(rest: Rest, router: Router, cors: Option<CorsLayer>) -> Self {
        let ways = |cross_origin| Ways {
            rest: rest.clone(),
            router: router.clone(),
            cross_origin,
        };
        let cross_origin = cors.map(|cors| {
            let plain = Arc::new(ways(None));
            let plain = tower::service_fn(move |request| plain.answer(request));
            BoxCloneSyncService::new(cors.layer(plain))
        });
        Self(Arc::new(ways(cross_origin)))
    }
}

impl Ways {
    /// Only the straight way is spared a box of its own: requests that take it are many, and its
    /// future is small.
    fn answer(&self, request: Request<Body>) -> Way {
        let headers = request.headers();
        if let Some(cross_origin) = &self.cross_origin
            && headers.contains_key(ORIGIN)
        {
            return Either::Right(Box::pin(cross_origin.clone().oneshot(request)));
        }
        let request = if is_packed(headers) || is_grpc(headers) {
            request
        } else {
            match self.rest.take(request) {
                Either::Left(answer) => return Either::Left(answer),
                Either::Right(request) => request,
            }
        };
        Either::Right(Box::pin(self.router.clone().oneshot(request)))
    }
}

impl<B> Service<Request<B>> for Gateway
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
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
        let answer = move |request| ways.answer(request);
        Box::pin(identify(request.map(Body::new), answer))
    }
}
