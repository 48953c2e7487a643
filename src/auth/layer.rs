//! What every request for the API has to pass, over REST ([`AuthLayer::guard`]) and, as a layer, over
//! gRPC: it gets through only with a [`Caller`] in its extensions.

use std::borrow::BorrowMut;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use futures_util::future::{BoxFuture, Either, ready};
use http::{HeaderMap, HeaderValue, Request, header};
use http_body::Body as _;
use tonic::Code;
use tower::util::Oneshot;
use tower::{Layer, Service, ServiceExt};

use super::Caller;
use super::clients::{self, Found};
use super::jwt::refused;
use super::throttle::{Peer, Throttle};
use super::tokens::{Identity, Known, Tokens};
use crate::fault::Fault;
use crate::lease::{Client, Command, Name, Timestamp};
use crate::load::Load;
use crate::store::Store;

/// An answer to a request that had to show whose it is.
pub type Guarded<F> = Either<F, BoxFuture<'static, Result<Response, Infallible>>>;

/// Decides who is calling.
#[derive(Clone)]
pub struct AuthLayer {
    authority: Arc<Authority>,
    load: Load,
}

enum Authority {
    /// Everybody is this client.
    Open(Caller),
    Tokens(Guard),
}

impl AuthLayer {
    /// Nobody is asked; everybody acts as the client of this short name, in every namespace.
    #[must_use]
    pub fn open(client: &str) -> Self {
        let caller = Caller {
            client: client.into(),
            namespace: None,
            is_admin: false,
            identity: None,
        };
        Self {
            authority: Arc::new(Authority::Open(caller)),
            load: Load::default(),
        }
    }

    /// Bearer tokens of clients that the store knows, some of whom are administrators.
    #[must_use]
    pub fn tokens(tokens: Arc<Tokens>, store: Store, admins: BTreeSet<Name>) -> Self {
        let guard = Guard {
            tokens,
            store,
            admins: Arc::new(admins),
            throttle: Arc::new(Throttle::new(0)),
            load: Load::default(),
        };
        Self {
            authority: Arc::new(Authority::Tokens(guard)),
            load: Load::default(),
        }
    }

    /// The same, and an address may show so many bad tokens in a minute; 0 is no limit.
    #[must_use]
    pub fn with_failure_limit(self, limit: u32) -> Self {
        self.with(|guard| guard.throttle = Arc::new(Throttle::new(limit)))
    }

    /// The same, and clients ask for no more than they may. Where nobody is authenticated only all
    /// together have a limit.
    #[must_use]
    pub fn with_load(self, load: Load) -> Self {
        let layer = self.with(|guard| guard.load = load.clone());
        Self { load, ..layer }
    }

    fn with(self, change: impl FnOnce(&mut Guard)) -> Self {
        let Authority::Tokens(guard) = &*self.authority else {
            return self;
        };
        let mut guard = guard.clone();
        change(&mut guard);
        Self {
            authority: Arc::new(Authority::Tokens(guard)),
            ..self
        }
    }

    /// Lets a request go on as that of a [`Caller`], or answers it with a refusal in this form.
    /// `request` is what carries it.
    pub fn guard<R, F>(
        &self,
        mut request: R,
        form: Form,
        go: impl FnOnce(R) -> F + Send + 'static,
    ) -> Guarded<F>
    where
        R: BorrowMut<Request<Body>> + Send + 'static,
        F: Future<Output = Result<Response, Infallible>> + Send,
    {
        match self.caller(request.borrow()) {
            Decision::Now(Ok(caller)) => {
                let_in(request.borrow_mut(), caller, &self.load);
                Either::Left(go(request))
            }
            Decision::Now(Err(fault)) => {
                let refusal = refuse(fault, form);
                Either::Right(Box::pin(ready(Ok(refusal))))
            }
            Decision::Later(caller) => {
                let load = self.load.clone();
                Either::Right(Box::pin(async move {
                    match caller.await {
                        Ok(caller) => {
                            let_in(request.borrow_mut(), caller, &load);
                            go(request).await
                        }
                        Err(fault) => Ok(refuse(fault, form)),
                    }
                }))
            }
        }
    }

    /// The caller that the headers name (section B; authentication errors are all UNAUTHENTICATED).
    fn caller(&self, request: &Request<Body>) -> Decision {
        match &*self.authority {
            Authority::Open(caller) => Decision::Now(Ok(caller.clone())),
            Authority::Tokens(guard) => guard
                .decide(request.headers(), request.extensions().get().copied())
                .unwrap_or_else(|fault| Decision::Now(Err(fault))),
        }
    }
}

/// Who is calling, or what will tell.
enum Decision {
    Now(Result<Caller, Fault>),
    /// An issuer is asked for its keys, or a client is made.
    Later(BoxFuture<'static, Result<Caller, Fault>>),
}

/// What tokens are held against.
#[derive(Clone)]
struct Guard {
    tokens: Arc<Tokens>,
    store: Store,
    admins: Arc<BTreeSet<Name>>,
    throttle: Arc<Throttle>,
    load: Load,
}

impl Guard {
    /// A token that is known costs a look, however many bad ones come from the same address. Any
    /// other may cost cryptography or a question to an issuer, and that has a limit.
    fn decide(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<Decision, Fault> {
        let token = bearer(headers)?;
        let now = self.store.now();
        match self.tokens.known(token, now)? {
            Known::Good(identity) => return self.caller(identity, headers),
            Known::Stale => {}
            Known::No => {
                let wait = peer.and_then(|peer| self.throttle.wait(peer, Instant::now()));
                if let Some(wait) = wait {
                    return Err(too_many(wait));
                }
            }
        }
        if self.tokens.provider(token).is_none() {
            let identity = self.tokens.authenticate(token, now);
            return self.caller(self.counted(identity, peer)?, headers);
        }
        let (guard, token, headers) = (self.clone(), token.to_owned(), headers.clone());
        Ok(Decision::Later(Box::pin(async move {
            let identity = guard.ask(&token, now).await;
            match guard.caller(guard.counted(identity, peer)?, &headers)? {
                Decision::Now(caller) => caller,
                Decision::Later(caller) => caller.await,
            }
        })))
    }

    /// Remembers who has shown a bad token.
    fn counted<T>(&self, outcome: Result<T, Fault>, peer: Option<Peer>) -> Result<T, Fault> {
        let is_bad = |fault: &Fault| fault.code() == Code::Unauthenticated;
        if let (Some(peer), true) = (peer, outcome.as_ref().is_err_and(is_bad)) {
            self.throttle.failed(peer, Instant::now());
        }
        outcome
    }

    /// Whom a token of another issuer stands for.
    async fn ask(&self, token: &str, now: Timestamp) -> Result<Arc<Identity>, Fault> {
        let unknown = || refused("TOKEN_WRONG_ISSUER", "its issuer is not known here");
        let provider = self.tokens.provider(token).ok_or_else(unknown)?;
        let user = provider.verify(token, now).await?;
        self.tokens.accept(token, user, &provider.trust, now)
    }

    /// The holder of a good token as a caller; a client is made first if there should be one.
    fn caller(&self, identity: Arc<Identity>, headers: &HeaderMap) -> Result<Decision, Fault> {
        let usage = identity.usage.get_or_init(|| {
            let holder = identity.holder.to_string();
            self.load.client(holder)
        });
        usage.admit()?;
        let found = clients::find(&self.store, &identity.holder, headers)?;
        let caller = |name: Name| Caller {
            is_admin: self.admins.contains(&name),
            client: name.id,
            namespace: Some(name.namespace),
            identity: Some(identity),
        };
        match found {
            Found::Client(name) => Ok(Decision::Now(Ok(caller(name)))),
            Found::Missing { name, .. } if self.admins.contains(&name) => Err(refused(
                "CLIENT_UNKNOWN",
                "no client has its user, and the name that it would get is an administrator's",
            )),
            Found::Missing { name, username } => {
                let command = Command::ProvisionClient {
                    name: name.clone(),
                    username: username.clone(),
                };
                let (store, caller) = (self.store.clone(), caller(name.clone()));
                Ok(Decision::Later(Box::pin(async move {
                    store.submit(command).await.map_err(|cause| {
                        tracing::error!(%cause, "a client could not be made for a user");
                        let message = "the user's client cannot be made at present";
                        Fault::new(Code::Unavailable, "STORE_UNAVAILABLE", message).with_retry(1)
                    })?;
                    // Somebody else may have taken the name meanwhile.
                    let user = |client: &Arc<Client>| client.username.clone();
                    let user = store.read(|book, _| book.client(&name).and_then(user));
                    if user.as_ref() != Some(&username) {
                        return Err(clients::mismatch(&name));
                    }
                    tracing::info!(client = %caller.client, "made a client for a user of another issuer");
                    Ok(caller)
                })))
            }
        }
    }
}

fn too_many(wait: Duration) -> Fault {
    let message = "too many bad tokens have come from this address; try again later";
    let seconds = u32::try_from(wait.as_secs())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    Fault::new(Code::ResourceExhausted, "TOO_MANY_FAILURES", message).with_retry(seconds)
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

/// As a layer it is for gRPC, and refuses as gRPC does.
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
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Guarded<Oneshot<S, Request<Body>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = self.inner.clone();
        let form = |fault| tonic::Status::from(fault).into_http();
        self.layer
            .guard(request, form, |request| inner.oneshot(request))
    }
}

/// Makes a request that of a caller, whose body has to arrive in time.
fn let_in(request: &mut Request<Body>, caller: Caller, load: &Load) {
    let usage = caller.usage().cloned();
    request.extensions_mut().insert(caller);
    if !request.body().is_end_stream() {
        let outstanding = request.extensions_mut().remove();
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = Body::new(load.timely(body, usage, outstanding));
    }
}

/// How a refusal is written.
pub type Form = fn(Fault) -> Response;

/// The refusal, with what to do about it.
fn refuse(fault: Fault, form: Form) -> Response {
    let challenge = challenge(&fault);
    let mut response = form(fault);
    if let Some(challenge) = challenge {
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// What to do about it (RFC 6750, section 3): who has shown no token, or shows something else, is only
/// told that one is asked for (section 3.1; `invalid_request` would be 400). None where a token is not what is
/// wrong.
fn challenge(fault: &Fault) -> Option<HeaderValue> {
    if fault.code() != Code::Unauthenticated {
        return None;
    }
    let error = match fault.reason() {
        "TOKEN_MISSING" | "AUTHORIZATION_MALFORMED" => "",
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
