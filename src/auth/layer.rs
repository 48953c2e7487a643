//! The layer around every API route, REST and gRPC alike: it lets a request through only with a
//! [`Caller`] in its extensions.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, Ready, ready};
use http::{HeaderMap, HeaderValue, Request, header};
use tonic::Code;
use tower::{Layer, Service};

use super::Caller;
use super::jwt::{self, refused};
use super::tokens::{Identity, Tokens};
use crate::fault::Fault;
use crate::lease::Name;
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
            identity: None,
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
        let identity = tokens.authenticate(bearer(headers)?, store.now())?;
        expect_client(store, &identity)?;
        expect_agreement(headers, &identity.client)?;
        Ok(Caller {
            client: identity.client.id.clone(),
            namespace: Some(identity.client.namespace.clone()),
            identity: Some(identity),
        })
    }
}

/// A token of a client that the lab file does not name any more is worth nothing (rule B12), nor is
/// one of an earlier client of the same name.
fn expect_client(store: &Store, identity: &Identity) -> Result<(), Fault> {
    store.read(|book, _| {
        let client = book.client(&identity.client);
        let client =
            client.ok_or_else(|| refused("CLIENT_UNKNOWN", "its client does not exist"))?;
        match &identity.uid {
            Some(uid) if *uid != jwt::uid(client) => Err(refused(
                "CLIENT_RECREATED",
                "it is of an earlier client of this name",
            )),
            _ => Ok(()),
        }
    })
}

/// Jumpstarter's clients say in metadata who they are, besides showing a token. The token is enough
/// here, but who says more must say the same (rules B5, B10, B11).
fn expect_agreement(headers: &HeaderMap, client: &Name) -> Result<(), Fault> {
    let one = |key: &'static str| {
        let mut values = headers.get_all(key).iter();
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(Fault::invalid_argument(
                "METADATA_REPEATED",
                format!("multiple metadata: {key}"),
            )),
            (value, _) => Ok(value.map(HeaderValue::as_bytes)),
        }
    };
    let namespace = one("jumpstarter-namespace")?;
    if one("jumpstarter-kind")?.is_some_and(|kind| kind != b"Client") {
        return Err(Fault::invalid_argument(
            "KIND_MISMATCH",
            "object kind mismatch",
        ));
    }
    // Rule B6: a name that is given twice counts as not given.
    let name = one("jumpstarter-name").unwrap_or_default();
    let differs = |given: Option<&[u8]>, own: &str| given.is_some_and(|it| it != own.as_bytes());
    if differs(namespace, &client.namespace) || differs(name, &client.id) {
        return Err(Fault::new(
            Code::PermissionDenied,
            "CLIENT_MISMATCH",
            format!(
                "permission denied for client {client}: the token is of this one, the metadata names another"
            ),
        ));
    }
    Ok(())
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Fault> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let fault = |reason, message| Fault::unauthenticated(reason, message);
    let value = values
        .next()
        .ok_or_else(|| fault("TOKEN_MISSING", "missing authorization header"))?;
    if values.next().is_some() {
        return Err(fault(
            "AUTHORIZATION_MALFORMED",
            "multiple authorization headers",
        ));
    }
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_at_checked("Bearer ".len())?;
        scheme
            .eq_ignore_ascii_case("Bearer ")
            .then_some(token.trim())
    });
    token.ok_or_else(|| fault("AUTHORIZATION_MALFORMED", "malformed authorization header"))
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
    let challenge = challenge(&fault);
    let mut response = Rejection::from(fault).into_response();
    if let Some(challenge) = challenge {
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// What to do about it (RFC 6750, section 3): who has shown no token is only told that one is asked
/// for. None where a token is not what is wrong.
fn challenge(fault: &Fault) -> Option<HeaderValue> {
    if fault.code() != Code::Unauthenticated {
        return None;
    }
    let error = match fault.reason() {
        "TOKEN_MISSING" => "",
        "AUTHORIZATION_MALFORMED" => ", error=\"invalid_request\"",
        _ => ", error=\"invalid_token\"",
    };
    let description = if error.is_empty() {
        String::new()
    } else {
        format!(", error_description=\"{fault}\"")
    };
    let challenge = format!("Bearer realm=\"jumpstarter\"{error}{description}");
    HeaderValue::try_from(challenge).ok()
}

/// The request is a gRPC call.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
