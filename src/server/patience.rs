//! What those may ask for who need not say who they are: documentation, gRPC reflection and health.
//! Their address stands for them.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;

use super::gateway::refusal;
use super::grpc::is_grpc;
use crate::auth::Peer;
use crate::fault::Fault;
use crate::load::Load;

/// An answer, unless the address asks too often.
pub async fn limited(State(load): State<Load>, request: Request, next: Next) -> Response {
    match admit(&load, &request) {
        Ok(()) => next.run(request).await,
        Err(fault) => refusal(is_grpc(&request), fault.into()),
    }
}

/// The same for calls whose answers are streams: each is one of the waits of its address.
pub async fn streamed(State(load): State<Load>, request: Request, next: Next) -> Response {
    let begun = admit(&load, &request).and_then(|()| {
        let usage = address(&request).map(|Peer(address)| load.address(address));
        load.stream(usage)
    });
    match begun {
        Ok(wait) => next.run(request).await.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _ = &wait;
                frame
            }))
        }),
        Err(fault) => refusal(is_grpc(&request), fault.into()),
    }
}

fn admit(load: &Load, request: &Request) -> Result<(), Fault> {
    match address(request) {
        Some(Peer(address)) => load.address(address).admit(),
        None => Ok(()),
    }
}

fn address(request: &Request) -> Option<Peer> {
    request.extensions().get().copied()
}
