//! Which client somebody is who has shown a good token. Knows nothing of signatures.

use http::{HeaderMap, HeaderValue};
use tonic::Code;

use super::jwt::{self, refused};
use super::oidc;
use super::tokens::{Holder, Identity};
use crate::fault::Fault;
use crate::lease::{Book, Name, Selector};
use crate::store::Store;

/// What Jumpstarter's clients say of themselves in metadata, besides showing a token. The token is
/// enough here, but who says more must say the same (rules B5, B6, B10, B11).
struct Said<'a> {
    namespace: Option<&'a str>,
    name: Option<&'a str>,
}

/// What it is said in: metadata, for which REST also has a prefix.
const NAMESPACE: [&str; 2] = [
    "jumpstarter-namespace",
    "grpc-metadata-jumpstarter-namespace",
];
const NAME: [&str; 2] = ["jumpstarter-name", "grpc-metadata-jumpstarter-name"];
const KIND: [&str; 2] = ["jumpstarter-kind", "grpc-metadata-jumpstarter-kind"];

/// Whom the holder of a token acts as.
pub enum Found {
    Client(Name),
    /// A client that is not there yet, and is to be (rule B13).
    Missing {
        name: Name,
        username: String,
    },
}

/// The client of a token's holder.
///
/// # Errors
/// UNAUTHENTICATED: there is no such client (rule B12). INVALID_ARGUMENT or PERMISSION_DENIED: what
/// the caller says of itself is not what its token says.
pub fn find(store: &Store, holder: &Holder, headers: &HeaderMap) -> Result<Found, Fault> {
    let said = Said::read(headers)?;
    match holder {
        Holder::Client { name, uid } => {
            store.read(|book, _| expect_client(book, name, uid.as_deref()))?;
            said.expect(name)?;
            Ok(Found::Client(name.clone()))
        }
        Holder::User {
            username,
            provision,
        } => store.read(|book, _| client_of_user(book, username, *provision, &said)),
    }
}

/// Makes sure that a client is still there that the holder of a token was found to be.
///
/// # Errors
/// UNAUTHENTICATED: it is not.
pub fn expect(store: &Store, identity: &Identity, name: &Name) -> Result<(), Fault> {
    let uid = match &identity.holder {
        Holder::Client { uid, .. } => uid.as_deref(),
        Holder::User { .. } => None,
    };
    store.read(|book, _| {
        expect_client(book, name, uid)?;
        let user = book
            .client(name)
            .and_then(|client| client.username.as_ref());
        match &identity.holder {
            Holder::User { username, .. } if user != Some(username) => Err(mismatch(name)),
            _ => Ok(()),
        }
    })
}

/// A token of a client that the lab file does not name any more is worth nothing, nor is one of an
/// earlier client of the same name.
fn expect_client(book: &Book, name: &Name, uid: Option<&str>) -> Result<(), Fault> {
    let client = book.client(name);
    let client = client.ok_or_else(|| refused("CLIENT_UNKNOWN", "its client does not exist"))?;
    match uid {
        Some(uid) if *uid != jwt::uid(client) => Err(refused(
            "CLIENT_RECREATED",
            "it is of an earlier client of this name",
        )),
        _ => Ok(()),
    }
}

/// The one client that has this username, among those that the caller says it is.
fn client_of_user(
    book: &Book,
    username: &str,
    provision: bool,
    said: &Said<'_>,
) -> Result<Found, Fault> {
    let mut own = book
        .clients()
        .filter(|client| client.username.as_deref() == Some(username));
    let mut fitting = own.by_ref().filter(|client| said.fits(&client.name));
    match (fitting.next(), fitting.next()) {
        (Some(client), None) => return Ok(Found::Client(client.name.clone())),
        (Some(_), Some(_)) => {
            return Err(refused(
                "CLIENT_AMBIGUOUS",
                "several clients have its user; say which with the header jumpstarter-namespace or jumpstarter-name",
            ));
        }
        (None, _) => {}
    }
    let derived = oidc::client_name(username);
    // Rule B8.
    if let Some(name) = said.name.filter(|name| *name != derived) {
        let message = format!(
            "resource name mismatch: provided \"{name}\" but expected \"{derived}\" (derived from OIDC username \"{username}\")"
        );
        return Err(Fault::invalid_argument("CLIENT_MISMATCH", message));
    }
    let name = said
        .namespace
        .map(|namespace| Name::new(namespace, derived));
    match name {
        // Rule B11: somebody else's client.
        Some(name) if book.client(&name).is_some() => Err(mismatch(&name)),
        Some(name) if provision && !has_exporters(book, &name.namespace) => Err(refused(
            "CLIENT_UNKNOWN",
            "no client has its user, and none is made in a namespace without exporters",
        )),
        Some(name) if provision && !name.id.is_empty() => {
            let username = username.to_owned();
            Ok(Found::Missing { name, username })
        }
        None if provision => Err(refused(
            "CLIENT_UNKNOWN",
            "no client has its user; say in which namespace there should be one with the header jumpstarter-namespace",
        )),
        _ => Err(refused("CLIENT_UNKNOWN", "no client has its user")),
    }
}

/// A client of any other namespace has nothing to lease, and could be made without end.
fn has_exporters(book: &Book, namespace: &str) -> bool {
    !book
        .exporters(namespace, &Selector::default(), None, 1)
        .is_empty()
}

/// The client is another user's.
pub fn mismatch(name: &Name) -> Fault {
    let message = format!("permission denied for client {name}");
    Fault::new(Code::PermissionDenied, "CLIENT_MISMATCH", message)
}

impl<'a> Said<'a> {
    fn read(headers: &'a HeaderMap) -> Result<Self, Fault> {
        let one = |[key, prefixed]: [&'static str; 2]| {
            let prefixed = headers.get_all(prefixed).into_iter();
            let mut values = headers.get_all(key).into_iter().chain(prefixed);
            match (values.next(), values.next()) {
                (Some(_), Some(_)) => Err(Fault::invalid_argument(
                    "METADATA_REPEATED",
                    format!("multiple metadata: {key}"),
                )),
                // What is not text is nobody's name.
                (value, _) => {
                    Ok(value.map(|value: &HeaderValue| value.to_str().unwrap_or_default()))
                }
            }
        };
        let said = Self {
            namespace: one(NAMESPACE)?,
            // Rule B6: a name that is given twice counts as not given.
            name: one(NAME).unwrap_or_default(),
        };
        if one(KIND)?.is_some_and(|kind| kind != "Client") {
            return Err(Fault::invalid_argument(
                "KIND_MISMATCH",
                "object kind mismatch",
            ));
        }
        Ok(said)
    }

    fn fits(&self, client: &Name) -> bool {
        self.namespace
            .is_none_or(|namespace| *namespace == *client.namespace)
            && self.name.is_none_or(|name| *name == *client.id)
    }

    /// What is said must be what the token says.
    fn expect(&self, client: &Name) -> Result<(), Fault> {
        if self.fits(client) {
            return Ok(());
        }
        let namespace = self.namespace.unwrap_or(&client.namespace);
        let fault = mismatch(&Name::new(namespace, self.name.unwrap_or(&client.id)));
        Err(fault.with_metadata("client", client.to_string()))
    }
}
