//! A route: a row and the method that answers it, whatever the types of its messages.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, Ready, ready};
use futures_util::{FutureExt, Stream, TryFutureExt};
use http_body::Body as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::matcher::Split;
use super::prepared::Prepared;
use super::rejection::Rejection;
use super::row::Binding;
use super::{
    Head, Limits, Received, Request, negotiate, pretty, streaming, streaming_raw, unary, unary_raw,
};
use crate::proto::google::api::HttpBody;
use crate::proto::json;

/// What answers a request in the end: at once, or after something has been waited for.
pub type Answer = Either<Ready<Outcome>, Pin<Box<dyn Future<Output = Outcome> + Send>>>;

/// A response, good or bad.
type Outcome = Result<Response, Infallible>;

/// A row and the method that answers it.
#[derive(Clone)]
pub struct Route {
    binding: &'static Binding,
    offers: Offers,
    call: Arc<dyn Fn(Request, Split, Limits, Offers) -> Answer + Send + Sync>,
}

/// The media types of a route's answers, the preferred one first; none where only the answer tells.
type Offers = &'static [&'static str];

impl Route {
    /// A route to a unary method that answers in JSON.
    pub fn unary<S, M, R, F, A>(binding: &'static Binding, service: &Arc<S>, method: F) -> Self
    where
        S: Send + Sync + 'static,
        M: DeserializeOwned + Serialize + Send + 'static,
        R: Serialize + Send + 'static,
        F: Fn(Arc<S>, tonic::Request<M>) -> A + Copy + Send + Sync + 'static,
        A: Future<Output = Result<tonic::Response<R>, tonic::Status>> + Send + 'static,
    {
        Self::prepared(binding, service, |_, _| None, method)
    }

    /// The same, where `prepared` may know the method's answer without calling it: it is asked first
    /// wherever the whole answer is wanted as JSON.
    pub fn prepared<S, M, R, F, A>(
        binding: &'static Binding,
        service: &Arc<S>,
        prepared: fn(&S, &tonic::Request<M>) -> Option<Prepared>,
        method: F,
    ) -> Self
    where
        S: Send + Sync + 'static,
        M: DeserializeOwned + Serialize + Send + 'static,
        R: Serialize + Send + 'static,
        F: Fn(Arc<S>, tonic::Request<M>) -> A + Copy + Send + Sync + 'static,
        A: Future<Output = Result<tonic::Response<R>, tonic::Status>> + Send + 'static,
    {
        let service = service.clone();
        let json = Arc::new(JsonWriter::default());
        Self::new(binding, &[negotiate::JSON], move |received| {
            let prepared = |call: &tonic::Request<M>| prepared(&service, call);
            let received = match received.prepared(prepared) {
                Ok(response) => return Either::Left(ready(Ok(response))),
                Err(received) => received,
            };
            let service = service.clone();
            later(unary(received, json.clone(), move |call| {
                method(service, call)
            }))
        })
    }

    /// The same route to a unary method, which can be followed with Server-Sent Events too: it puts
    /// [`Events`](super::Events) into its response where its request holds
    /// [`Follow`](super::Follow). Where it puts none, its reply is sent as JSON to those who accept that,
    /// and others are answered INTERNAL. A route of another kind stays as it is.
    #[must_use]
    pub fn followed(mut self) -> Self {
        if self.offers == [negotiate::JSON] {
            self.offers = &[negotiate::JSON, negotiate::SSE];
        }
        self
    }

    /// A route to a unary method that answers with the `google.api.HttpBody` that `body` takes out
    /// of its reply.
    pub fn unary_raw<S, M, R, F, A>(
        binding: &'static Binding,
        service: &Arc<S>,
        method: F,
        body: fn(R) -> Option<HttpBody>,
    ) -> Self
    where
        S: Send + Sync + 'static,
        M: DeserializeOwned + Serialize + Send + 'static,
        R: Send + 'static,
        F: Fn(Arc<S>, tonic::Request<M>) -> A + Copy + Send + Sync + 'static,
        A: Future<Output = Result<tonic::Response<R>, tonic::Status>> + Send + 'static,
    {
        let service = service.clone();
        Self::new(binding, &[], move |received| {
            let service = service.clone();
            later(unary_raw(received, body, move |call| method(service, call)))
        })
    }

    /// A route to a server-streaming method that answers in JSON.
    pub fn streaming<S, M, R, T, F, A>(
        binding: &'static Binding,
        service: &Arc<S>,
        method: F,
    ) -> Self
    where
        S: Send + Sync + 'static,
        M: DeserializeOwned + Serialize + Send + 'static,
        R: Serialize + Send + 'static,
        T: Stream<Item = Result<R, tonic::Status>> + Send + 'static,
        F: Fn(Arc<S>, tonic::Request<M>) -> A + Copy + Send + Sync + 'static,
        A: Future<Output = Result<tonic::Response<T>, tonic::Status>> + Send + 'static,
    {
        let service = service.clone();
        let offers = &[negotiate::NDJSON, negotiate::SSE, negotiate::JSON];
        Self::new(binding, offers, move |received| {
            let service = service.clone();
            later(streaming(received, move |call| method(service, call)))
        })
    }

    /// A route to a server-streaming method that answers with the data of the
    /// `google.api.HttpBody`s that `body` takes out of its replies.
    pub fn streaming_raw<S, M, R, T, F, A>(
        binding: &'static Binding,
        service: &Arc<S>,
        method: F,
        body: fn(R) -> Option<HttpBody>,
    ) -> Self
    where
        S: Send + Sync + 'static,
        M: DeserializeOwned + Serialize + Send + 'static,
        R: Send + 'static,
        T: Stream<Item = Result<R, tonic::Status>> + Send + 'static,
        F: Fn(Arc<S>, tonic::Request<M>) -> A + Copy + Send + Sync + 'static,
        A: Future<Output = Result<tonic::Response<T>, tonic::Status>> + Send + 'static,
    {
        let service = service.clone();
        Self::new(binding, &[], move |received| {
            let service = service.clone();
            later(streaming_raw(received, body, move |call| {
                method(service, call)
            }))
        })
    }

    /// Without a body there is nothing to wait for before the call is known: it alone is what such
    /// a request's future has to hold, which keeps it small.
    fn new<M: DeserializeOwned + Serialize + Send + 'static>(
        binding: &'static Binding,
        offers: Offers,
        answer: impl Fn(Received<M>) -> Answer + Clone + Send + Sync + 'static,
    ) -> Self {
        let call = move |request, split, limits, offers: Offers| -> Answer {
            let received = match Head::new(binding, request, split, limits, offers) {
                Ok(head) if head.body.is_end_stream() => head.with(&[]),
                Ok(head) => {
                    let answer = answer.clone();
                    return Either::Right(Box::pin(
                        head.read()
                            .map(move |received| match received {
                                Ok(received) => answer(received),
                                Err(rejection) => Either::Left(refusal(rejection)),
                            })
                            .flatten(),
                    ));
                }
                Err(rejection) => Err(rejection),
            };
            match received {
                Ok(received) => answer(received),
                Err(rejection) => Either::Left(refusal(rejection)),
            }
        };
        Self {
            binding,
            offers,
            call: Arc::new(call),
        }
    }

    /// The row.
    #[must_use]
    pub fn binding(&self) -> &'static Binding {
        self.binding
    }

    /// Answers a request that belongs to the row.
    pub(super) fn answer(&self, request: Request, split: Split, limits: Limits) -> Answer {
        pretty::answer(request, |request| {
            (self.call)(request, split, limits, self.offers)
        })
    }
}

fn later(answer: impl Future<Output = Result<Response, Rejection>> + Send + 'static) -> Answer {
    Either::Right(Box::pin(answer.or_else(refusal)))
}

fn refusal(rejection: Rejection) -> Ready<Outcome> {
    ready(Ok(rejection.into_response()))
}

/// The most that is laid aside for a reply before it is written, in bytes: one that is long now and
/// then must not make the short ones as large.
const LONGEST_GUESS: usize = 256 * 1024;

/// Writes the replies of one route, and remembers how long the last one was.
#[derive(Debug, Default)]
pub struct JsonWriter {
    length: AtomicUsize,
}

impl JsonWriter {
    /// A reply as JSON: all of it, or the one field that the rule selects.
    ///
    /// # Errors
    /// 500 where the message has no JSON form.
    pub fn write<R: Serialize>(
        &self,
        binding: &Binding,
        message: &R,
    ) -> Result<Vec<u8>, Rejection> {
        // Most are as long as the last one, and what is full becomes a body as it is.
        let likely = self.length.load(Ordering::Relaxed).min(LONGEST_GUESS);
        let mut whole = Vec::with_capacity(likely);
        json::to_writer(&mut whole, message).map_err(no_json)?;
        self.length.store(whole.len(), Ordering::Relaxed);
        let Some(selected) = binding.response_body else {
            return Ok(whole);
        };
        let fields: BTreeMap<&str, &RawValue> = serde_json::from_slice(&whole).map_err(no_json)?;
        let field = fields.get(selected.name);
        let field = field.map_or(selected.unset, |field| field.get());
        Ok(field.as_bytes().to_vec())
    }
}

fn no_json(cause: serde_json::Error) -> Rejection {
    Rejection::internal("a response could not be written as JSON", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_reply_makes_no_room_for_the_next() {
        let writer = JsonWriter::default();
        let row = super::super::row::Binding {
            index: 0,
            rpc: "",
            method: "GET",
            template: "",
            segments: &[],
            verb: None,
            captures: &[],
            request: &super::super::row::Message {
                name: "",
                fields: &[],
            },
            body: super::super::row::Body::None,
            response_body: None,
            mask: None,
        };
        let long = "x".repeat(4 * LONGEST_GUESS);
        writer.write(&row, &long).unwrap();
        let short = writer.write(&row, &"x").unwrap();
        assert_eq!(short, b"\"x\"");
        assert!(short.capacity() < 2 * LONGEST_GUESS, "{}", short.capacity());
    }
}
