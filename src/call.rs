//! The call that is being answered, as those who tell of it want it: the log, the metrics, the audit
//! log and traces. Rooms on a call's way leave notes here, wherever they are; `server` reads them.
//! Knows nothing of what is told, nor to whom.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderValue, Method, Request, Uri};
use uuid::Uuid;

use crate::lease::Name;

tokio::task_local! {
    /// In a box, as it changes places each time that its task is looked at, and is given back.
    static CALL: Box<Call>;
}

/// What is known of one call. Notes of a task that answers no call go nowhere.
#[derive(Debug)]
pub struct Call {
    method: Method,
    uri: Uri,
    id: Id,
    /// As 32 hexadecimal digits, where the call is traced, or its caller says that it is.
    trace: Option<String>,
    /// It is told of one by one if it changes something.
    has_deed: bool,
    /// A number that means something to `server` alone.
    route: Cell<usize>,
    waited: Cell<bool>,
    unread: Cell<bool>,
    commit: Cell<Option<Commit>>,
    deed: RefCell<Option<Box<Deed>>>,
}

/// What a call is known by. It is text only where somebody wants to read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Id {
    /// The requester has one, which is text.
    Brought(HeaderValue),
    MadeUp(Uuid),
}

impl Id {
    /// The value of a header that tells it.
    pub fn header(&self) -> HeaderValue {
        match self {
            Self::Brought(id) => id.clone(),
            Self::MadeUp(id) => {
                let mut buffer = Uuid::encode_buffer();
                let text = id.hyphenated().encode_lower(&mut buffer);
                HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
            }
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brought(id) => f.write_str(id.to_str().unwrap_or_default()),
            Self::MadeUp(id) => id.fmt(f),
        }
    }
}

/// A change that was asked for; noted only for those calls that are to be told of one by one.
#[derive(Clone, Default, Debug)]
pub struct Deed {
    /// `package.Service/Method`.
    pub rpc: &'static str,
    pub peer: Option<IpAddr>,
    pub actor: Option<Actor>,
    pub lease: Option<Name>,
    /// Why, as the caller has it.
    pub reason: Option<String>,
}

/// Who asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actor {
    /// Its short name.
    pub client: Arc<str>,
    /// None where nobody is authenticated.
    pub namespace: Option<Arc<str>>,
    /// Whom the token stands for (`client lab/ada`, `user sso:ada`), and what it is revoked by.
    pub token: Option<(String, String)>,
    pub is_admin: bool,
}

/// The commit that a call waited for.
#[derive(Clone, Copy, Debug)]
pub struct Commit {
    /// The revision since.
    pub revision: u64,
    /// When the command was handed in.
    pub handed_in: Instant,
    /// When the engine was given what it shared a commit with, and when that was kept.
    pub began: Instant,
    /// See `began`.
    pub ended: Instant,
    /// When the answer was there.
    pub answered: Instant,
}

impl Call {
    /// A call by a request, of which nothing more is known. `route` is what counts where none is
    /// noted.
    pub fn new<B>(request: &Request<B>, id: Id, route: usize) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            id,
            trace: None,
            has_deed: false,
            route: Cell::new(route),
            waited: Cell::new(false),
            unread: Cell::new(false),
            commit: Cell::new(None),
            deed: RefCell::new(None),
        }
    }

    /// The same, where somebody wants to be told of each change.
    #[must_use]
    pub fn told_of(self, has_deed: bool) -> Self {
        Self { has_deed, ..self }
    }

    /// The same, as a part of a trace.
    #[must_use]
    pub fn traced(self, trace: Option<String>) -> Self {
        Self { trace, ..self }
    }

    /// Does something as this call.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CALL.scope(Box::new(self), future)
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    pub fn path(&self) -> &str {
        self.uri.path()
    }

    pub fn id(&self) -> &Id {
        &self.id
    }

    pub fn trace(&self) -> Option<&str> {
        self.trace.as_deref()
    }

    pub fn route(&self) -> usize {
        self.route.get()
    }

    /// It chose to wait for something.
    pub fn has_waited(&self) -> bool {
        self.waited.get()
    }

    /// Not all of its body will be read.
    pub fn has_unread(&self) -> bool {
        self.unread.get()
    }

    pub fn commit(&self) -> Option<Commit> {
        self.commit.get()
    }

    /// What was noted of a change, once.
    pub fn take_deed(&self) -> Option<Box<Deed>> {
        self.deed.take()
    }
}

/// Looks at the call that is being answered; none where no call is.
pub fn present<T>(look: impl FnOnce(&Call) -> T) -> Option<T> {
    CALL.try_with(|call| look(call)).ok()
}

/// The call is known by this route; what changes something gets a [`Deed`] to note things in where
/// that will be told.
pub fn note_route(route: usize, deed: impl FnOnce() -> Option<Deed>) {
    present(|call| {
        call.route.set(route);
        if call.has_deed {
            call.deed.replace(deed().map(Box::new));
        }
    });
}

/// The caller is known. It is asked for only where that will be told.
pub fn note_actor(actor: impl FnOnce() -> Option<Actor>) {
    note(|deed| deed.actor = actor());
}

/// The call is about this lease.
pub fn note_lease(lease: &Name) {
    note(|deed| deed.lease = Some(lease.clone()));
}

/// The caller says why.
pub fn note_reason(reason: Option<&str>) {
    note(|deed| deed.reason = reason.map(str::to_owned));
}

/// The call's time says nothing of the server: it waits because it wants to.
pub fn note_wait() {
    present(|call| call.waited.set(true));
}

/// The rest of the call's body is left where it is.
pub fn note_unread() {
    present(|call| call.unread.set(true));
}

/// What the call asked for has been kept.
pub fn note_commit(commit: Commit) {
    present(|call| call.commit.set(Some(commit)));
}

fn note(write: impl FnOnce(&mut Deed)) {
    present(|call| {
        if let Some(deed) = &mut *call.deed.borrow_mut() {
            write(deed);
        }
    });
}
