//! One namespace: its records, who holds and who waits, and what has to be looked at. Namespaces
//! know nothing of each other.

use std::sync::Arc;

use super::access::Policies;
use super::book::Purpose;
use super::exporters::{Effect, Exporters};
use super::leases::Leases;
use super::named::Named;
use super::queue::{LineId, Queue};
use super::record::{Change, Client, Kind, Lease, Record};
use super::sorted::Sorted;
use super::time::{Duration, Timestamp};

#[derive(Clone)]
pub(super) struct Namespace {
    pub(super) exporters: Exporters,
    pub(super) clients: Named<Client>,
    pub(super) policies: Policies,
    pub(super) leases: Leases,
    pub(super) queue: Queue,
    pub(super) news: News,
    /// Something was applied since it was settled.
    pub(super) is_restless: bool,
    /// When it has something to settle next, as far as is written down.
    pub(super) moment: Option<Timestamp>,
}

/// What has happened since somebody last saw to it. None of it can outgrow the records it is
/// about, so a book that is never settled may leave it lying.
#[derive(Clone)]
pub(super) struct News {
    /// Everything that waits has to be looked at again.
    pub(super) everything: bool,
    /// Who may have what has changed: the lines are not what they should be.
    pub(super) lines_outdated: bool,
    /// Exporters that can be assigned and could not be before.
    pub(super) exporters: Sorted<Arc<str>>,
    /// Lines whose first has changed.
    pub(super) lines: Sorted<LineId>,
    /// Waiting leases that have not been told anything yet.
    pub(super) unanswered: Sorted<Arc<str>>,
}

impl News {
    /// The one new lease, if it is all that is new.
    pub(super) fn lone_newcomer(&self) -> Option<&Arc<str>> {
        let is_quiet = !self.everything && self.exporters.is_empty() && self.lines.is_empty();
        self.unanswered
            .first()
            .filter(|_| is_quiet && self.unanswered.len() == 1)
    }
}

impl Namespace {
    /// An empty one, in a book for this purpose. Whatever it is loaded with has to be looked at.
    pub(super) fn new(purpose: Purpose) -> Self {
        Self {
            exporters: Exporters::default(),
            clients: Named::default(),
            policies: Policies::default(),
            leases: Leases::new(purpose),
            queue: Queue::default(),
            news: News {
                everything: true,
                lines_outdated: false,
                exporters: Sorted::new(),
                lines: Sorted::new(),
                unanswered: Sorted::new(),
            },
            is_restless: false,
            moment: None,
        }
    }

    pub(super) fn apply(&mut self, change: &Change, offline_after: Duration) {
        match change {
            Change::Put(Record::Exporter(exporter)) => {
                let effect = self.exporters.put(exporter.clone(), offline_after);
                self.note(&exporter.name.id, effect);
            }
            Change::Put(Record::Client(client)) => {
                let old = self.clients.put(&client.name.id, client.clone());
                let is_news = old.is_none_or(|old| old.labels != client.labels);
                if is_news && !self.policies.is_empty() {
                    self.access_has_changed();
                }
            }
            Change::Put(Record::Policy(policy)) => {
                self.policies.put(policy.clone());
                self.access_has_changed();
            }
            Change::Put(Record::Lease(lease)) => self.put_lease(lease),
            Change::Remove(Kind::Exporter, name) => {
                self.exporters.remove(&name.id);
                self.news.exporters.remove(&*name.id);
                self.news.everything = true;
            }
            Change::Remove(Kind::Client, name) => {
                if self.clients.remove(&name.id).is_some() && !self.policies.is_empty() {
                    self.access_has_changed();
                }
            }
            Change::Remove(Kind::Policy, name) => {
                self.policies.remove(&name.id);
                self.access_has_changed();
            }
            Change::Remove(Kind::Lease, name) => {
                if let Some(lease) = self.leases.remove(&name.id) {
                    self.step_back(&lease);
                }
            }
        }
    }

    /// Puts everybody who waits into the line where they belong, if policies or clients have
    /// changed.
    pub(super) fn mend_lines(&mut self) {
        if !std::mem::take(&mut self.news.lines_outdated) {
            return;
        }
        self.queue = Queue::default();
        self.news.lines.clear();
        let waiting: Vec<Arc<Lease>> = self.leases.waiting().cloned().collect();
        for lease in waiting {
            self.stand_in_line(&lease);
        }
    }

    /// Puts new leases into line.
    pub(super) fn line_up_newcomers(&mut self) {
        let newcomers = self
            .news
            .unanswered
            .iter()
            .filter_map(|id| self.leases.get(id));
        let newcomers: Vec<Arc<Lease>> = newcomers.cloned().collect();
        for lease in newcomers {
            self.stand_in_line(&lease);
        }
    }

    pub(super) fn next_moment(&self, retention: Duration) -> Option<Timestamp> {
        self.leases.next_moment(retention)
    }

    fn put_lease(&mut self, lease: &Arc<Lease>) {
        let old = self.leases.put(lease);
        if let Some(old) = old {
            let id = &lease.name.id;
            let is_in_line = old.is_waiting() && self.queue.place(id).is_some();
            if is_in_line && lease.is_waiting() && old.stands_like(lease) {
                if !lease.conditions.is_empty() {
                    self.news.unanswered.remove(&**id);
                }
                return;
            }
            self.step_back(&old);
        }
        if lease.ended.is_some() {
            return;
        }
        match &lease.exporter {
            Some(exporter) => {
                self.exporters.hold(exporter, &lease.name.id);
                self.news.exporters.remove(&**exporter);
            }
            None if lease.conditions.is_empty() => {
                self.news.unanswered.insert(lease.name.id.clone());
            }
            None => self.stand_in_line(lease),
        }
    }

    /// Undoes what [`Self::put_lease`] did for the record that `lease` was.
    fn step_back(&mut self, lease: &Lease) {
        if lease.ended.is_some() {
            return;
        }
        let id = &lease.name.id;
        match &lease.exporter {
            Some(exporter) => {
                if self.exporters.release(exporter, id) {
                    self.news.exporters.insert(exporter.clone());
                }
            }
            None => {
                let closed = self.queue.leave(id);
                if let Some(line) = closed {
                    self.news.lines.remove(&line);
                }
                self.news.unanswered.remove(&**id);
            }
        }
    }

    fn stand_in_line(&mut self, lease: &Lease) {
        let client = self.clients.get(&lease.client).map(|client| &**client);
        let first_in = self
            .queue
            .enter(lease, &self.policies, client, &self.exporters);
        if let Some(line) = first_in {
            self.news.lines.insert(line);
        }
    }

    fn note(&mut self, exporter: &Arc<str>, effect: Effect) {
        if effect.freed {
            self.news.exporters.insert(exporter.clone());
        }
        self.news.everything |= effect.withdrawn;
    }

    fn access_has_changed(&mut self) {
        self.news.everything = true;
        self.news.lines_outdated = true;
    }
}
