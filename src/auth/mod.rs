//! Who is calling: bearer tokens, and the guard that no API route is without.

mod clients;
mod endings;
mod folder;
mod jwt;
mod keys;
mod layer;
mod listed;
mod oidc;
mod sources;
mod throttle;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use tonic::Code;

pub use folder::Folder;
pub use jwt::{Issued, uid};
pub use layer::{AuthLayer, Authenticated, Form, Guarded};
pub use oidc::{Pace, Trust};
pub use sources::{Sources, TokensError};
pub use throttle::Peer;
pub use tokens::{Holder, Identity, Tokens};

use crate::fault::Fault;
use crate::lease::Name;
use crate::load::Usage;
use crate::store::Store;

/// How often somebody who stays is asked again who they are, if nothing says that this has changed.
const AGAIN: Duration = Duration::from_secs(10);

/// The client on whose behalf a call is made. Whoever let the request in put it into
/// its extensions.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its short name.
    pub client: Arc<str>,
    /// Its namespace; none where nobody is authenticated, and every namespace is open.
    pub namespace: Option<Arc<str>>,
    /// It may release anybody's lease.
    pub is_admin: bool,
    /// Whom the token stands for that it showed.
    pub identity: Option<Arc<Identity>>,
}

impl Caller {
    /// The caller of a request.
    ///
    /// # Errors
    /// UNAUTHENTICATED where nobody let the request in; that is a mistake of the server.
    pub fn of<M>(request: &tonic::Request<M>) -> Result<&Self, Fault> {
        let caller = request.extensions().get();
        caller.ok_or_else(|| {
            Fault::unauthenticated("UNAUTHENTICATED", "missing authorization header")
        })
    }

    /// Makes sure that the caller may act in a namespace.
    ///
    /// # Errors
    /// PERMISSION_DENIED (rule B14).
    pub fn authorize(&self, namespace: &str) -> Result<(), Fault> {
        match &self.namespace {
            Some(own) if **own != *namespace => {
                let fault = Fault::new(
                    Code::PermissionDenied,
                    "NAMESPACE_MISMATCH",
                    "namespace mismatch",
                );
                Err(fault.with_metadata("namespace", namespace))
            }
            _ => Ok(()),
        }
    }

    /// What the caller uses, if it is known.
    #[must_use]
    pub fn usage(&self) -> Option<&Arc<Usage>> {
        self.identity.as_ref()?.usage.get()
    }

    /// Returns when the caller should be let in no more: its token or its client has ended. For
    /// requests that go on for long.
    pub async fn ended(self, tokens: Option<Arc<Tokens>>, store: Store) -> Fault {
        let (Some(tokens), Some(identity), Some(namespace)) =
            (tokens, self.identity, self.namespace)
        else {
            return std::future::pending().await;
        };
        let name = Name {
            namespace,
            id: self.client,
        };
        let mut changes = tokens.changes();
        loop {
            let is_good = tokens.expect_good(&identity, store.now());
            if let Err(fault) = is_good.and_then(|()| clients::expect(&store, &identity, &name)) {
                return fault;
            }
            let _ = tokio::time::timeout(AGAIN, changes.changed()).await;
        }
    }
}
