//! What can be asked of the book, and how it says no.

use std::sync::Arc;

use super::labels::Labels;
use super::record::{Client, ExporterStatus, Name, Policy};
use super::time::{Duration, Timestamp};

/// Something somebody asks for. Who may ask is settled before it gets here, except for what only
/// the record can tell: whether a lease is the caller's own.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    CreateLease(CreateLease),
    UpdateLease(UpdateLease),
    ReleaseLease(ReleaseLease),
    /// Rule B18, as far as there are administrators: one of them ends anybody's lease.
    TakeLease {
        name: Name,
        if_revision: Option<Box<Revisions>>,
    },
    /// Rules J12, J13: the exporter lets go of the lease that holds it.
    ReleaseHeldLease {
        exporter: Name,
        lease: Arc<str>,
    },
    /// Rule P10.
    RegisterExporter {
        name: Name,
        labels: Labels,
    },
    /// Rule P8; also counts as seen.
    ReportStatus {
        name: Name,
        status: ExporterStatus,
        message: String,
    },
    /// Rule P1: it has opened its status stream, so it is not offline as it last said.
    ExporterConnected {
        name: Name,
    },
    /// Rule P2.
    ExporterSeen {
        name: Name,
    },
    /// Rule P12.
    UnregisterExporter {
        name: Name,
        reason: String,
    },
    /// Rule B13: a client for a user that an identity provider knows, unless there is one of this
    /// name. It stays until the lab file is read again.
    ProvisionClient {
        name: Name,
        username: String,
    },
    /// The lab file's whole content: what is not in it any more is removed, what registered
    /// exporters told us of themselves is kept.
    ReplaceLab {
        exporters: Vec<DeclaredExporter>,
        clients: Vec<Client>,
        policies: Vec<Policy>,
    },
}

/// Sections C, D, E and G.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateLease {
    /// Its namespace and id; the caller has made one up (a UUIDv7) where none was given (rule C7).
    pub name: Name,
    /// The id was given by the client: a second create is a replay (rule C9).
    pub named: bool,
    /// The short name of the caller.
    pub client: Arc<str>,
    /// The selector's text as it was sent.
    pub selector: String,
    pub exporter_name: Option<String>,
    pub allow_disabled: bool,
    pub begin: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub duration: Option<Duration>,
    pub tags: Labels,
    pub context: Labels,
    /// What a lease of this name, if there is one, has to be (rule K20).
    pub if_revision: Option<Box<Revisions>>,
}

/// Sections K and L. A field that is `None` is not in the update mask; `Some(None)` clears it.
#[derive(Clone, PartialEq, Debug)]
pub struct UpdateLease {
    pub name: Name,
    /// The short name of the caller.
    pub caller: Arc<str>,
    /// What the caller has seen, if it insists on it (rule K20).
    pub if_revision: Option<Box<Revisions>>,
    pub begin: Option<Option<Timestamp>>,
    pub end: Option<Option<Timestamp>>,
    pub duration: Option<Option<Duration>>,
    /// The short name of the client to hand the lease to.
    pub transfer_to: Option<Arc<str>>,
    /// Immutable fields as they were sent: unchanged is fine (rule D13).
    pub unchanged: Unchanged,
}

/// The immutable fields of a lease that an update carried.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Unchanged {
    pub selector: Option<String>,
    pub exporter_name: Option<String>,
    pub allow_disabled: Option<bool>,
    pub tags: Option<Labels>,
    pub context: Option<Labels>,
}

/// Section M.
#[derive(Clone, PartialEq, Debug)]
pub struct ReleaseLease {
    pub name: Name,
    pub caller: Arc<str>,
    pub if_revision: Option<Box<Revisions>>,
}

/// An exporter as the lab file declares it.
#[derive(Clone, PartialEq, Debug)]
pub struct DeclaredExporter {
    pub name: Name,
    pub labels: Labels,
    pub enabled: bool,
    pub is_static: bool,
}

/// Which revisions of a lease a change is meant for (rule K20).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Revisions {
    /// One of these (If-Match).
    pub one_of: Option<Vec<u64>>,
    /// None of these (If-None-Match).
    pub none_of: Vec<u64>,
    /// None at all: there must be no such lease (`If-None-Match: *`).
    pub none: bool,
}

impl Revisions {
    /// It is meant for this one.
    #[must_use]
    pub fn include(&self, revision: u64) -> bool {
        let is_wanted = |list: &Vec<u64>| list.contains(&revision);
        self.one_of.as_ref().is_none_or(is_wanted) && !self.rule_out(revision)
    }

    /// It must not be this one.
    #[must_use]
    pub fn rule_out(&self, revision: u64) -> bool {
        self.none || self.none_of.contains(&revision)
    }
}

impl From<u64> for Revisions {
    fn from(revision: u64) -> Self {
        Self {
            one_of: Some(vec![revision]),
            ..Self::default()
        }
    }
}

/// The reason of a refusal because the record is not the edition that was insisted on (rule K20).
pub const ETAG_MISMATCH: &str = "ETAG_MISMATCH";

/// A command that cannot be carried out: nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub code: Code,
    /// UPPER_SNAKE_CASE and stable, for programs (`google.rpc.ErrorInfo.reason`).
    pub reason: &'static str,
    /// A sentence, for people. Texts that clients match on are kept to the letter.
    pub message: String,
    /// The fields that are wrong, by their proto path in the request (`lease.begin_time`), each
    /// with what would be right.
    pub violations: Vec<Violation>,
    /// Facts for programs (`google.rpc.ErrorInfo.metadata`).
    pub metadata: Vec<(&'static str, String)>,
}

/// A field that is wrong, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub field: String,
    pub description: String,
}

/// The canonical codes that the domain refuses with, numbered as `google.rpc.Code`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    InvalidArgument = 3,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    FailedPrecondition = 9,
    Aborted = 10,
}
