//! The book: every namespace, and the one way in which anything in it changes.
//!
//! Asking ([`Book::decide`]) and settling ([`Book::settle`]) say what changes; applying makes it
//! so. A book that is only ever applied to shows the same as the one that decided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::command::{Command, Refusal};
use super::namespace::Namespace;
use super::query::LeaseQuery;
use super::record::{Change, Client, Exporter, Lease, Name, Record};
use super::selector::Selector;
use super::settle::Settling;
use super::time::{Duration, Timestamp};

/// Exporters, clients, policies and leases, and who holds and who waits. A plain value: records
/// are shared, so that a clone costs no more than the indexes over them.
#[derive(Clone)]
pub struct Book {
    settings: Settings,
    revision: u64,
    purpose: Purpose,
    namespaces: BTreeMap<Arc<str>, Namespace>,
    /// When each namespace has something to settle next.
    agenda: BTreeSet<(Timestamp, Arc<str>)>,
    /// The namespaces that something was applied to since they were settled, each once.
    restless: Vec<Arc<str>>,
}

/// What a book is for. Indexes that serve only one purpose are most of what a change to a lease costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// It is asked, settled and applied to. Its leases can be listed all the same, but all of them are
    /// gone through each time.
    Decide,
    /// It is applied to and looked at, never asked or settled.
    Show,
    /// All of this.
    Both,
}

impl Purpose {
    pub(super) fn decides(self) -> bool {
        self != Self::Show
    }

    pub(super) fn shows(self) -> bool {
        self != Self::Decide
    }
}

/// What the operator of a book may choose.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// No lease may be shorter (rule G14).
    pub minimum_duration: Option<Duration>,
    /// No lease may be longer (rule G14).
    pub maximum_duration: Option<Duration>,
    /// An exporter that was not heard of for longer is offline (rules P4, P5).
    pub offline_after: Duration,
    /// How long an ended lease is kept (rule J16).
    pub retention: Duration,
    /// The most tags a lease may have (rules D2, D3).
    pub max_tags: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            minimum_duration: None,
            maximum_duration: None,
            offline_after: Duration::from_seconds(60),
            retention: Duration::from_seconds(30 * 24 * 3_600),
            max_tags: 10,
        }
    }
}

impl Book {
    /// An empty book, at revision 0.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            revision: 0,
            purpose: Purpose::Both,
            namespaces: BTreeMap::new(),
            agenda: BTreeSet::new(),
            restless: Vec::new(),
        }
    }

    /// The same book for one purpose: what only the other needs is not kept. See [`Purpose`].
    #[must_use]
    pub fn serving(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        for namespace in self.namespaces.values_mut() {
            namespace.leases.serve(purpose);
        }
        self
    }

    /// The revision of the last commit. What is decided and settled now carries the next one.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What a command would change. Nothing is changed by asking.
    ///
    /// No changes at all is a success too: an update that changes nothing, or a create that was
    /// carried out before.
    ///
    /// # Errors
    /// The refusal, if the command cannot be carried out.
    pub fn decide(&self, now: Timestamp, command: &Command) -> Result<Vec<Change>, Refusal> {
        debug_assert!(self.purpose.decides());
        super::decide::decide(self, now, command)
    }

    /// Applies what follows from the state and the time, and returns it in the order it was
    /// applied: leases end, are assigned, are refused, are told to wait, are forgotten.
    ///
    /// To be called after every command and at [`Self::next_deadline`]. Calling it again, or too
    /// early, changes nothing.
    pub fn settle(&mut self, now: Timestamp) -> Vec<Change> {
        debug_assert!(self.purpose.decides());
        for (_, id) in self.agenda.iter().take_while(|(at, _)| *at <= now) {
            if let Some(namespace) = self.namespaces.get_mut(id)
                && !std::mem::replace(&mut namespace.is_restless, true)
            {
                self.restless.push(id.clone());
            }
        }
        let (mut changes, revision) = (Vec::new(), self.revision + 1);
        for id in self.restless.drain(..) {
            let Some(namespace) = self.namespaces.get_mut(&id) else {
                continue;
            };
            let settings = &self.settings;
            let mut settling = Settling {
                namespace,
                now,
                settings,
                revision,
                changes,
            };
            settling.settle();
            changes = settling.changes;
            namespace.is_restless = false;
            let next = namespace.next_moment(settings.retention);
            let last = std::mem::replace(&mut namespace.moment, next);
            if last == next {
                continue;
            }
            if let Some(last) = last {
                self.agenda.remove(&(last, id.clone()));
            }
            self.agenda.extend(next.map(|next| (next, id)));
        }
        changes
    }

    /// Makes a change. Cannot fail: what is refused is refused before.
    pub fn apply(&mut self, change: &Change) {
        let id = &change.name().namespace;
        let namespace = match self.namespaces.get_mut(id) {
            Some(namespace) => namespace,
            None => self
                .namespaces
                .entry(id.clone())
                .or_insert_with(|| Namespace::new(self.purpose)),
        };
        if !std::mem::replace(&mut namespace.is_restless, true) {
            self.restless.push(id.clone());
        }
        namespace.apply(change, self.settings.offline_after);
    }

    /// Everything applied so far is committed as `revision`.
    pub fn committed(&mut self, revision: u64) {
        self.revision = revision;
        for id in &self.restless {
            if let Some(namespace) = self.namespaces.get_mut(id) {
                namespace.mend_lines();
            }
        }
    }

    /// When [`Self::settle`] will next have something to say that it has not said yet. Never late.
    ///
    /// Where something was applied and not settled since, that is the beginning of time.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.restless.is_empty() {
            return self.agenda.first().map(|(at, _)| *at);
        }
        Some(Timestamp::MIN)
    }

    /// An exporter by name.
    pub fn exporter(&self, name: &Name) -> Option<&Arc<Exporter>> {
        self.namespaces
            .get(&name.namespace)?
            .exporters
            .get(&name.id)
    }

    /// A client by name.
    pub fn client(&self, name: &Name) -> Option<&Arc<Client>> {
        self.namespaces.get(&name.namespace)?.clients.get(&name.id)
    }

    /// All clients, by namespace and name.
    pub fn clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        let namespaces = self.namespaces.values();
        namespaces.flat_map(|namespace| namespace.clients.iter())
    }

    /// A lease by name.
    pub fn lease(&self, name: &Name) -> Option<&Arc<Lease>> {
        self.lease_in(&name.namespace, &name.id)
    }

    /// A lease by the two parts of its name.
    pub fn lease_in(&self, namespace: &str, id: &str) -> Option<&Arc<Lease>> {
        self.namespaces.get(namespace)?.leases.get(id)
    }

    /// At most `limit` exporters of a namespace that match, by name, from the first one after
    /// `after` (rules N7, N18).
    pub fn exporters(
        &self,
        namespace: &str,
        filter: &Selector,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<&Arc<Exporter>> {
        let Some(namespace) = self.namespaces.get(namespace) else {
            return Vec::new();
        };
        let candidates = namespace.exporters.candidates(filter, after);
        candidates
            .filter(|exporter| filter.matches(&exporter.labels))
            .take(limit)
            .collect()
    }

    /// At most `limit` leases of a namespace that match at `now`, by name, from the first one
    /// after `after` (section N).
    pub fn leases(
        &self,
        now: Timestamp,
        namespace: &str,
        query: &LeaseQuery,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<&Arc<Lease>> {
        match self.namespaces.get(namespace) {
            Some(namespace) => namespace.leases.list(now, query, after, limit),
            None => Vec::new(),
        }
    }

    /// Everything in the book.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let leases = self
            .namespaces
            .values()
            .flat_map(|namespace| namespace.leases.by_name());
        self.lab_records().chain(leases.cloned().map(Record::Lease))
    }

    /// Everything but the leases.
    pub(super) fn lab_records(&self) -> impl Iterator<Item = Record> + '_ {
        self.namespaces.values().flat_map(|namespace| {
            let exporters = namespace.exporters.iter().cloned().map(Record::Exporter);
            let clients = namespace.clients.iter().cloned().map(Record::Client);
            let policies = namespace.policies.iter().cloned().map(Record::Policy);
            exporters.chain(clients).chain(policies)
        })
    }

    pub(super) fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.namespaces.values()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn namespace(&self, id: &str) -> Option<&Namespace> {
        self.namespaces.get(id)
    }
}
