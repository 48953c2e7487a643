//! Records as they are shown at a moment: with everything that depends on the present, and so is
//! not written down. Looking changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use super::book::Book;
use super::life::{LeaseState, READY, READY_MESSAGE};
use super::namespace::Namespace;
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

impl Book {
    /// A lease as it is at `now`.
    pub fn view_lease(&self, now: Timestamp, lease: &Lease) -> LeaseView {
        self.view(now, lease, &mut HashMap::new())
    }

    /// Several leases as they are at `now`: cheaper than one by one, as those that wait for the
    /// same have most of what they can expect in common.
    pub fn view_leases(&self, now: Timestamp, leases: &[&Arc<Lease>]) -> Vec<LeaseView> {
        let mut outlooks = HashMap::new();
        leases
            .iter()
            .map(|lease| self.view(now, lease, &mut outlooks))
            .collect()
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

    fn view<'a>(&'a self, now: Timestamp, lease: &Lease, outlooks: &mut Outlooks<'a>) -> LeaseView {
        let lease = lease.at(now);
        let state = lease.state(now);
        let mut view = LeaseView {
            state,
            conditions: lease.conditions.clone(),
            effective_begin: lease.effective_begin,
            effective_end: lease.ended,
            effective_duration: lease
                .effective_begin
                .map(|begin| (lease.ended.unwrap_or(now) - begin).max(Duration::ZERO)),
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
                ("Scheduled", format!("The lease begins at {begin}"))
            }
            LeaseState::Pending => self.expect(now, &lease, outlooks, &mut view),
            LeaseState::Ready | LeaseState::Ended => why_no_longer_pending(&lease),
        };
        let pending = ConditionKind::Pending;
        if let Some(condition) = view.conditions.iter_mut().find(|one| one.kind == pending) {
            condition.reason = reason;
            condition.message = message.into();
        }
        view
    }

    /// Why a lease waits, in a word and a sentence; and, in the view, for how long.
    fn expect<'a>(
        &'a self,
        now: Timestamp,
        lease: &Lease,
        outlooks: &mut Outlooks<'a>,
        view: &mut LeaseView,
    ) -> (&'static str, String) {
        let unknown = || ("NotAvailable", "The lease waits for an exporter".to_owned());
        let namespace = self.namespace(&lease.name.namespace);
        let place = namespace.and_then(|namespace| namespace.queue.place(&lease.name.id));
        let (Some(namespace), Some((line, turn))) = (namespace, place) else {
            return unknown();
        };
        let Some(outlook) = self.outlook(namespace, line, now, outlooks) else {
            return unknown();
        };
        let prospect = namespace.prospect(line, &turn, outlook, now);
        view.ahead = Some(prospect.ahead);
        view.estimated_start = prospect.estimated_start;
        (outlook.reason, prospect.message)
    }

    fn outlook<'a, 'o>(
        &self,
        namespace: &'a Namespace,
        line: LineId,
        now: Timestamp,
        outlooks: &'o mut Outlooks<'a>,
    ) -> Option<&'o Outlook<'a>> {
        let offline_after = self.settings().offline_after;
        outlooks
            .entry(line)
            .or_insert_with(|| namespace.outlook(line, now, offline_after))
            .as_ref()
    }
}

/// What lines of one namespace can expect, as far as it was asked for.
type Outlooks<'a> = HashMap<LineId, Option<Outlook<'a>>>;

/// What ended the wait: the exporter, or whatever ended the lease without one.
fn why_no_longer_pending(lease: &Lease) -> (&'static str, String) {
    match lease.conditions.last() {
        Some(last) if lease.exporter.is_none() => (last.reason, last.message.to_string()),
        _ => (READY, READY_MESSAGE.to_owned()),
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
