//! Records as they are shown at a moment: with everything that depends on the present, and so is
//! not written down. Looking changes nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::book::Book;
use super::life::{LeaseState, READY, READY_MESSAGE};
use super::outlook::Outlook;
use super::queue::LineId;
use super::record::{Condition, ConditionKind, Exporter, ExporterStatus, Lease};
use super::time::{Duration, Timestamp};

/// A lease as it is at a moment, whether or not the book has noticed that moment yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseView {
    pub state: LeaseState,
    /// In order, with their reasons and messages. Never empty.
    pub conditions: Vec<Condition>,
    /// When it got its exporter (rule Q1).
    pub effective_begin: Option<Timestamp>,
    /// When it ended (rules Q2, J10).
    pub effective_end: Option<Timestamp>,
    /// How long it has held its exporter, or did (rule Q3). Never negative.
    pub effective_duration: Option<Duration>,
    /// When it ends if nobody releases it; `None` if that is not known yet.
    pub planned_end: Option<Timestamp>,
    /// While it is pending: how many leases are served before it.
    pub ahead: Option<usize>,
    /// While it is pending, and where it can be told: when it gets an exporter if nobody releases
    /// one early.
    pub estimated_start: Option<Timestamp>,
}

/// An exporter as it is at a moment (rules P3-P9, Q7, Q8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExporterView {
    pub online: bool,
    pub status: ExporterStatus,
    pub status_message: String,
}

/// Shows leases of one book at one moment. Those that wait for the same have most of what they can
/// expect in common: one after the other they cost less than each with a `Views` of its own.
pub struct Views<'a> {
    book: &'a Book,
    now: Timestamp,
    /// What the lines of namespaces can expect, as far as it was asked for.
    outlooks: HashMap<(Arc<str>, LineId), Option<Outlook<'a>>>,
}

/// What a condition says: a word and a sentence.
type Reason = (&'static str, Cow<'static, str>);

impl Book {
    /// Leases as they are at `now`.
    pub fn views(&self, now: Timestamp) -> Views<'_> {
        Views {
            book: self,
            now,
            outlooks: HashMap::new(),
        }
    }

    /// A lease as it is at `now`.
    pub fn view_lease(&self, now: Timestamp, lease: &Lease) -> LeaseView {
        self.views(now).lease(lease)
    }

    /// An exporter as it is at `now`.
    pub fn view_exporter(&self, now: Timestamp, exporter: &Exporter) -> ExporterView {
        let offline_after = self.settings().offline_after;
        let online = exporter.is_reachable(now, offline_after);
        let (status, status_message) = match exporter.last_seen {
            _ if exporter.is_static => (ExporterStatus::Available, String::new()),
            Some(seen) if now - seen > offline_after => {
                (ExporterStatus::Offline, connection_lost(offline_after))
            }
            _ => (exporter.status, exporter.status_message.clone()),
        };
        ExporterView {
            online,
            status,
            status_message,
        }
    }
}

impl Lease {
    /// True if a view at `now` shows nothing that is not in the record, but for how long the lease
    /// has held its exporter.
    pub fn stands(&self, now: Timestamp) -> bool {
        !self.is_waiting() && !self.is_overdue(now)
    }

    /// True if it is shown as ended, and its record does not say so yet: nobody has settled it since.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        matches!(self.at(now), Cow::Owned(_))
    }
}

impl Views<'_> {
    /// The moment.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A lease of the book.
    pub fn lease(&mut self, lease: &Lease) -> LeaseView {
        let now = self.now;
        let lease = lease.at(now);
        let state = lease.state(now);
        let mut view = LeaseView {
            state,
            conditions: lease.conditions.clone(),
            effective_begin: lease.effective_begin,
            effective_end: lease.ended,
            effective_duration: lease.held(now),
            planned_end: lease.planned_end(),
            ahead: None,
            estimated_start: None,
        };
        if lease.is_waiting() && view.conditions.is_empty() {
            view.conditions = lease.pending(lease.created).conditions;
        }
        let (reason, message) = match state {
            LeaseState::Scheduled => {
                let begin = lease.begin.unwrap_or(lease.created);
                ("Scheduled", format!("The lease begins at {begin}").into())
            }
            LeaseState::Pending => self.expect(&lease, &mut view),
            LeaseState::Ready | LeaseState::Ended => why_no_longer_pending(&lease),
        };
        let pending = ConditionKind::Pending;
        if let Some(condition) = view.conditions.iter_mut().find(|one| one.kind == pending) {
            condition.reason = reason;
            condition.message = message;
        }
        view
    }

    /// Why a lease waits, in a word and a sentence; and, in the view, for how long.
    fn expect(&mut self, lease: &Lease, view: &mut LeaseView) -> Reason {
        let unknown = || ("NotAvailable", "The lease waits for an exporter".into());
        let id = &lease.name.namespace;
        let Some(namespace) = self.book.namespace(id) else {
            return unknown();
        };
        let Some((line, turn)) = namespace.queue.place(&lease.name.id) else {
            return unknown();
        };
        let offline_after = self.book.settings().offline_after;
        let outlook = self.outlooks.entry((id.clone(), line));
        let outlook = outlook.or_insert_with(|| namespace.outlook(line, self.now, offline_after));
        let Some(outlook) = outlook else {
            return unknown();
        };
        let prospect = namespace.prospect(line, &turn, outlook, self.now);
        view.ahead = Some(prospect.ahead);
        view.estimated_start = prospect.estimated_start;
        (outlook.reason, prospect.message.into())
    }
}

/// What ended the wait: the exporter, or whatever ended the lease without one.
fn why_no_longer_pending(lease: &Lease) -> Reason {
    match lease.conditions.last() {
        Some(last) if lease.exporter.is_none() => (last.reason, last.message.clone()),
        _ => (READY, READY_MESSAGE.into()),
    }
}

/// Rule P4.
fn connection_lost(offline_after: Duration) -> String {
    let span = match offline_after.seconds() {
        60 => "1 minute".to_owned(),
        _ => offline_after.to_string(),
    };
    format!("Connection lost - last seen more than {span} ago")
}
