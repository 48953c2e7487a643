//! The layer around every API route, REST and gRPC alike: it lets a request through only with a
//! [`Caller`] in its extensions.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, Ready, ready};
use http::{HeaderMap, HeaderValue, Request, header};
use tower::{Layer, Service};

use super::Caller;
use super::tokens::{TokenId, Tokens};
use crate::fault::Fault;
use crate::store::Store;
use crate::transcode::Rejection;

/// Decides who is calling.
#[derive(Clone)]
pub struct AuthLayer {
    authority: Arc<Authority>,
}

enum Authority {
    /// Everybody is this client.
    Open(Caller),
    Tokens(Arc<Tokens>, Store),
}

impl AuthLayer {
    /// Nobody is asked; everybody acts as the client of this short name, in every namespace.
    #[must_use]
    pub fn open(client: &str) -> Self {
        let caller = Caller {
            client: client.into(),
            namespace: None,
            token: None,
        };
        Self {
            authority: Arc::new(Authority::Open(caller)),
        }
    }

    /// Bearer tokens of clients that the store knows.
    #[must_use]
    pub fn tokens(tokens: Arc<Tokens>, store: Store) -> Self {
        Self {
            authority: Arc::new(Authority::Tokens(tokens, store)),
        }
    }

    /// The caller that the headers name (section B; authentication errors are all UNAUTHENTICATED).
    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Fault> {
        let (tokens, store) = match &*self.authority {
            Authority::Open(caller) => return Ok(caller.clone()),
            Authority::Tokens(tokens, store) => (tokens, store),
        };
        let id = TokenId::of(bearer(headers)?);
        let client = tokens.client(id, store.now());
        // A token of a client that the lab file does not name any more is worth nothing (rule B12).
        let client = client.filter(|name| store.read(|book, _| book.client(name).is_some()));
        let client = client.ok_or_else(|| {
            Fault::unauthenticated("TOKEN_REJECTED", "failed to authenticate token")
        })?;
        Ok(Caller {
            client: client.id.clone(),
            namespace: Some(client.namespace.clone()),
            token: Some(id),
        })
    }
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Fault> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let fault = |reason, message| Fault::unauthenticated(reason, message);
    let value = values
        .next()
        .ok_or_else(|| fault("TOKEN_MISSING", "missing authorization header"))?;
    if values.next().is_some() {
        return Err(fault("TOKEN_MALFORMED", "multiple authorization headers"));
    }
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_at_checked("Bearer ".len())?;
        scheme
            .eq_ignore_ascii_case("Bearer ")
            .then_some(token.trim())
    });
    token.ok_or_else(|| fault("TOKEN_MALFORMED", "malformed authorization header"))
}

impl<S> Layer<S> for AuthLayer {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Authenticated<S> {
        Authenticated {
            layer: self.clone(),
            inner,
        }
    }
}

/// A service that only known callers reach.
#[derive(Clone)]
pub struct Authenticated<S> {
    layer: AuthLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for Authenticated<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.layer.caller(request.headers()) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Either::Left(self.inner.call(request))
            }
            Err(fault) => Either::Right(ready(Ok(refuse(&request, fault)))),
        }
    }
}

/// The refusal in the form that the caller speaks.
fn refuse(request: &Request<Body>, fault: Fault) -> Response {
    if is_grpc(request.headers()) {
        return tonic::Status::from(fault).into_http();
    }
    let mut response = Rejection::from(fault).into_response();
    let challenge = HeaderValue::from_static("Bearer realm=\"jumpstarter\"");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    response
}

/// The request is a gRPC call.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
