//! The gateway that answers at present. A change of settings puts another in its place: requests that
//! are under way end with the one that they began with, and the next one on any connection has the new
//! one. Knows nothing of how a gateway is made.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use http::Request;
use tower::Service;

use super::gateway::Gateway;

/// Clones share what is current.
#[derive(Clone)]
pub struct Current(Arc<ArcSwap<Gateway>>);

impl Current {
    pub fn new(gateway: Gateway) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(gateway)))
    }

    pub fn replace(&self, gateway: Gateway) {
        self.0.store(Arc::new(gateway));
    }
}

impl<B> Service<Request<B>> for Current
where
    Gateway: Service<Request<B>, Error = Infallible>,
{
    type Response = <Gateway as Service<Request<B>>>::Response;
    type Error = Infallible;
    type Future = <Gateway as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A gateway always is.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut gateway = Gateway::clone(&self.0.load());
        gateway.call(request)
    }
}
