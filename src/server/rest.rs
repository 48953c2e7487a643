//! The API over REST: the transcoder, which nothing reaches but what authentication lets through.

use std::borrow::Borrow;

use axum::body::Body;
use axum::response::Response;
use http::Request;

use super::routes;
use crate::auth::{AuthLayer, Guarded};
use crate::transcode::{Answer, Transcoder};

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
        Ok(self.auth.guard(call, |call| {
            routes::note_actor(call.borrow());
            call.answer()
        }))
    }

    /// What is answered to a request that has none.
    pub fn refuse(&self, request: &Request<Body>) -> Response {
        self.transcoder.refuse(request)
    }
}
