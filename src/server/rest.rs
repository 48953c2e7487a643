//! The API over REST: the transcoder, which nothing reaches but what authentication lets through.

use std::borrow::Borrow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::Request;

use super::grpc::{is_grpc, unknown_rpc};
use super::routes;
use crate::auth::{AuthLayer, Guarded};
use crate::transcode::{Answer, Rejection, Transcoder};

/// Answers what a row declares, and refuses everything else; clones share it.
#[derive(Clone)]
pub struct Rest {
    transcoder: Transcoder,
    auth: AuthLayer,
}

impl Rest {
    pub fn new(transcoder: Transcoder, auth: AuthLayer) -> Self {
        Self { transcoder, auth }
    }

    /// Answers a request that has a row. That it has none is known before anybody asks who is
    /// calling.
    ///
    /// # Errors
    /// The request, if it has none.
    #[expect(
        clippy::result_large_err,
        reason = "it is the request, which goes another way"
    )]
    pub fn take(&self, request: Request<Body>) -> Result<Guarded<Answer>, Request<Body>> {
        let call = self.transcoder.find(request)?;
        routes::note_row(call.binding(), call.borrow());
        let form = |fault| Rejection::from(fault).into_response();
        Ok(self.auth.guard(call, form, |call| {
            routes::note_actor(call.borrow());
            call.answer()
        }))
    }

    /// The request is a call of gRPC, and not to a path that a row has: there it is a body of a kind
    /// that is not read.
    pub fn is_call_of_grpc<B>(&self, request: &Request<B>) -> bool {
        is_grpc(request) && !self.transcoder.knows(request.uri().path())
    }

    /// What is answered to a request that has none.
    pub fn refuse(&self, request: &Request<Body>) -> Response {
        if self.is_call_of_grpc(request) {
            routes::note_other_rpc();
            return unknown_rpc(request.uri().path());
        }
        self.transcoder.refuse(request)
    }
}
