//! What the book keeps: exporters, clients, access policies and leases, each a plain value.
//!
//! A record is what was asked for and what has happened; nothing in it depends on the present
//! moment. What does (a place in the queue, the text of a Pending condition, the span a lease has
//! been held) is computed by [`super::view`] when somebody looks.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::hash::{Seeded, Set};
use super::labels::Labels;
use super::selector::Selector;
use super::time::{Duration, Timestamp};

/// An object's name: unique per namespace and kind (rule R8).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Name {
    /// The namespace, which is never empty.
    pub namespace: Arc<str>,
    /// The short name inside it (`rpi4-01`), never a resource name.
    pub id: Arc<str>,
}

impl Name {
    /// A name from its two parts.
    pub fn new(namespace: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            id: id.into(),
        }
    }
}

impl Hash for Name {
    /// Short names alone tell nearly all apart.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.id)
    }
}

/// A board or device that can be leased.
#[derive(Clone, PartialEq, Debug)]
pub struct Exporter {
    pub name: Name,
    pub labels: Labels,
    /// False takes it out of new assignments; a lease that holds it stays (rules H9-H11, P14).
    pub enabled: bool,
    /// True for an exporter without a process of its own: always registered, online, Available.
    pub is_static: bool,
    /// It has called Register and not Unregister since (rule P11: without devices too).
    pub registered: bool,
    /// What it last reported (rule H20, Q8).
    pub status: ExporterStatus,
    /// The text beside that report.
    pub status_message: String,
    /// When it was last heard of (rules P1-P7); none: never.
    pub last_seen: Option<Timestamp>,
    /// The store's revision in which this record last changed.
    pub revision: u64,
}

/// The states an exporter reports, numbered as `jumpstarter.v1.ExporterStatus`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum ExporterStatus {
    #[default]
    Unspecified = 0,
    Offline = 1,
    Available = 2,
    BeforeLeaseHook = 3,
    LeaseReady = 4,
    AfterLeaseHook = 5,
    BeforeLeaseHookFailed = 6,
    AfterLeaseHookFailed = 7,
}

/// Somebody who leases.
#[derive(Clone, PartialEq, Debug)]
pub struct Client {
    pub name: Name,
    /// What access policies select clients by (rule I3).
    pub labels: Labels,
    /// `spec.username`: the name an identity provider knows this client by, if any.
    pub username: Option<String>,
    /// What tells it from an earlier client of the same name, if anything does (`metadata.uid`).
    pub uid: Option<Arc<str>>,
    /// It was made for a user (rule B13), and is in no lab file.
    pub provisioned: bool,
    pub revision: u64,
}

/// `ExporterAccessPolicy`: who may lease which exporters, for how long, and who goes first.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    pub name: Name,
    /// Which exporters it speaks of (`spec.exporterSelector`).
    pub exporters: Selector,
    pub rules: Vec<PolicyRule>,
    pub revision: u64,
}

/// One of the rules of a [`Policy`].
#[derive(Clone, PartialEq, Debug)]
pub struct PolicyRule {
    /// Which clients it lets in: any of these; an empty list lets in nobody (rule I4).
    pub from: Vec<Selector>,
    /// Higher goes first (rules I10, I16).
    pub priority: i64,
    /// The longest lease it approves, inclusive (rule I6).
    pub maximum_duration: Option<Duration>,
    /// Approves only as a spot, behind everybody else (rules H15-H19, I13).
    pub spot_access: bool,
    /// Shown to a client that this rule does not let in (rules H13, I8).
    pub description: String,
}

/// What a client asked for, and what became of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Lease {
    pub name: Name,
    /// The short name of the client that owns it.
    pub client: Arc<str>,
    /// What exporters must match; empty for a lease by exporter name alone (rule F9).
    pub selector: Arc<Selector>,
    /// The one exporter asked for by short name (rule A11).
    pub exporter_name: Option<Arc<str>>,
    /// Also accept that exporter while it is disabled (rules H10, C13).
    pub allow_disabled: bool,
    pub begin: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub duration: Option<Duration>,
    pub tags: Labels,
    pub context: Labels,
    /// When it was created.
    pub created: Timestamp,
    /// Release was asked for (rule M1).
    pub released: bool,
    /// The exporter assigned to it; kept after the end (rule H33).
    pub exporter: Option<Arc<str>>,
    /// When that exporter was assigned (rules H22, Q1).
    pub effective_begin: Option<Timestamp>,
    /// When it ended; an ended lease never changes again but for `released` (rules H5,
    /// J10).
    pub ended: Option<Timestamp>,
    /// In the order in which they were first set (section H).
    pub conditions: Vec<Condition>,
    /// Counts changes to what was asked for, from 1 (rule R7).
    pub generation: i64,
    /// The store's revision in which this record last changed: its ETag (rule K20).
    pub revision: u64,
}

/// One of a lease's conditions, as Kubernetes knows them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    pub kind: ConditionKind,
    pub status: bool,
    /// UpperCamelCase, for programs: one of [`super::REASONS`]. Empty for a Pending condition in a
    /// stored record: the view says why.
    pub reason: &'static str,
    /// A sentence, for people. Empty for a Pending condition in a stored record.
    pub message: Cow<'static, str>,
    /// When `status` last flipped.
    pub last_transition: Timestamp,
    /// The lease's generation when the condition was last set (rule R7).
    pub observed_generation: i64,
}

/// The four condition types of a lease (section H).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConditionKind {
    Pending,
    Ready,
    Unsatisfiable,
    Invalid,
}

/// Any record, shared and never changed in place.
#[derive(Clone, PartialEq, Debug)]
pub enum Record {
    Exporter(Arc<Exporter>),
    Client(Arc<Client>),
    Policy(Arc<Policy>),
    Lease(Arc<Lease>),
}

/// The kinds of [`Record`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    Exporter,
    Client,
    Policy,
    Lease,
}

/// What happened to one record: its after-image, or that it is gone.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    Put(Record),
    Remove(Kind, Name),
}

impl Record {
    /// What it is called.
    pub fn name(&self) -> &Name {
        match self {
            Self::Exporter(exporter) => &exporter.name,
            Self::Client(client) => &client.name,
            Self::Policy(policy) => &policy.name,
            Self::Lease(lease) => &lease.name,
        }
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Exporter(_) => Kind::Exporter,
            Self::Client(_) => Kind::Client,
            Self::Policy(_) => Kind::Policy,
            Self::Lease(_) => Kind::Lease,
        }
    }
}

impl Change {
    /// Whose change it is.
    pub fn name(&self) -> &Name {
        match self {
            Self::Put(record) => record.name(),
            Self::Remove(_, name) => name,
        }
    }

    /// What kind of record it is about.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Put(record) => record.kind(),
            Self::Remove(kind, _) => *kind,
        }
    }

    /// What it is about.
    fn key(&self) -> (Kind, &Name) {
        (self.kind(), self.name())
    }

    /// The last change to each record, in the order in which they were made. It leads to the same
    /// book: a lease that is granted as soon as it is created need not be written down twice.
    pub fn last_of_each(mut changes: Vec<Self>) -> Vec<Self> {
        // Nearly all there ever is, and a set would cost more.
        match changes.as_slice() {
            [] | [_] => return changes,
            [first, last] if first.key() == last.key() => {
                changes.remove(0);
                return changes;
            }
            [_, _] => return changes,
            _ => {}
        }
        let mut seen = Set::with_capacity_and_hasher(changes.len(), Seeded::default());
        let from_the_end = changes.iter().rev();
        let mut is_last: Vec<bool> = from_the_end
            .map(|change| seen.insert(change.key()))
            .collect();
        changes.retain(|_| is_last.pop().unwrap_or(true));
        changes
    }
}
