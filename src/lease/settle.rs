//! What follows from the state and the time: leases end, begin, are assigned, are refused, are
//! told to wait, and are forgotten. Nobody asks for any of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::book::Settings;
use super::claim::Claim;
use super::life::LeaseState;
use super::namespace::Namespace;
use super::queue::{LineId, Turn};
use super::record::{Change, Kind, Lease, Record};
use super::time::Timestamp;
use super::verdict::Verdict;

/// One settling of one namespace at one moment.
pub(super) struct Settling<'a> {
    pub(super) namespace: &'a mut Namespace,
    pub(super) now: Timestamp,
    pub(super) settings: &'a Settings,
    /// What the records made here carry.
    pub(super) revision: u64,
    pub(super) changes: Vec<Change>,
}

/// The first of a line waiting for its turn among the first of all lines: by the highest priority
/// it may still be served with, then by when it is due, then by name (rules I14, I16).
type Candidate = (i64, Reverse<Turn>, LineId);

impl Settling<'_> {
    /// Applies all that follows. Settling again at the same time changes nothing.
    pub(super) fn settle(&mut self) {
        self.end_what_is_over();
        self.notice_what_is_due();
        self.namespace.mend_lines();
        self.serve_a_lone_newcomer();
        self.namespace.line_up_newcomers();
        let lines = self.lines_to_look_at();
        self.assign(&lines);
        self.refuse_the_hopeless(&lines);
        self.tell_the_rest_to_wait();
        self.forget_the_old();
    }

    /// Rules J1-J5, H26. A lease that was planned to end earlier ended earlier: its end is the
    /// planned one, however late it is noticed.
    fn end_what_is_over(&mut self) {
        while let Some((end, lease)) = self.namespace.leases.overdue(self.now) {
            let ended = lease.expired(end);
            self.put(ended);
        }
    }

    /// Rule H2.
    fn notice_what_is_due(&mut self) {
        while let Some(lease) = self.namespace.leases.take_begun(self.now) {
            if let Some((line, _)) = self.namespace.queue.place(&lease) {
                self.namespace.news.lines.insert(line);
            }
        }
    }

    /// Gives a new lease its exporter without ado where nothing else has happened. Nobody can be
    /// overtaken by it: whoever waits, waits for other exporters than those that are free.
    fn serve_a_lone_newcomer(&mut self) {
        let Namespace {
            exporters,
            leases,
            policies,
            clients,
            news,
            ..
        } = &mut *self.namespace;
        let Some(lease) = news.lone_newcomer().and_then(|id| leases.get(id)) else {
            return;
        };
        if lease.state(self.now) != LeaseState::Pending {
            return;
        }
        let client = clients.get(&lease.client).map(|client| &**client);
        let claim = Claim::of(lease, policies, client);
        if let Some((exporter, _)) = claim.best(exporters, self.now, self.settings.offline_after) {
            let granted = lease.granted(exporter, self.now);
            self.put(granted);
        }
    }

    /// The lines for which anything can have changed, each with whether its own first is new.
    ///
    /// No other line can be served: when it was last looked at no exporter was there for it, and
    /// none has come since.
    fn lines_to_look_at(&mut self) -> BTreeMap<LineId, bool> {
        let Namespace {
            queue,
            exporters,
            news,
            ..
        } = &mut *self.namespace;
        let fresh = std::mem::take(&mut news.lines);
        if std::mem::take(&mut news.everything) {
            return queue.lines().map(|(id, _)| (id, true)).collect();
        }
        let mut lines = BTreeMap::new();
        for exporter in news.exporters.iter().filter_map(|id| exporters.get(id)) {
            let wanted = queue.lines_for(exporter);
            lines.extend(
                wanted
                    .filter(|(_, line)| line.claim.priority(exporter).is_some())
                    .map(|(id, _)| (id, false)),
            );
        }
        lines.extend(fresh.iter().map(|id| (*id, true)));
        lines
    }

    /// Gives every free exporter to the lease whose turn it is.
    ///
    /// The pair of the highest priority comes first, then that of the lease due first, then that
    /// of the exporter first by name. Such a pair is the best both for its exporter (rule I14) and
    /// for its lease (rule I10), so nobody is overtaken; with it out of the way the same holds for
    /// the next one.
    fn assign(&mut self, lines: &BTreeMap<LineId, bool>) {
        let (now, offline_after) = (self.now, self.settings.offline_after);
        let Namespace {
            exporters, news, ..
        } = &mut *self.namespace;
        let freed = &mut news.exporters;
        if lines.is_empty() {
            return freed.clear();
        }
        freed.retain(|id| exporters.is_available(id, now, offline_after));
        let mut candidates: BinaryHeap<Candidate> = BinaryHeap::new();
        for id in lines.keys() {
            let line = self.namespace.queue.line(*id);
            let ceiling = line.and_then(|line| line.claim.access.ceiling());
            candidates.extend(self.candidate(*id, ceiling));
        }
        while let Some((priority, _, id)) = candidates.pop() {
            let is_fresh = lines.get(&id).is_some_and(|fresh| *fresh);
            if !is_fresh && self.namespace.news.exporters.is_empty() {
                continue;
            }
            match self.best_exporter(id) {
                Some((exporter, best)) if best == priority => {
                    self.grant(id, exporter);
                    candidates.extend(self.candidate(id, Some(priority)));
                }
                Some((_, lower)) => candidates.extend(self.candidate(id, Some(lower))),
                None => {}
            }
        }
        self.namespace.news.exporters.clear();
    }

    fn candidate(&self, id: LineId, priority: Option<i64>) -> Option<Candidate> {
        let head = self.namespace.queue.line(id)?.head(self.now)?;
        Some((priority?, Reverse(head.clone()), id))
    }

    fn best_exporter(&mut self, id: LineId) -> Option<(Arc<str>, i64)> {
        let Namespace {
            queue, exporters, ..
        } = &mut *self.namespace;
        queue
            .line(id)?
            .claim
            .best(exporters, self.now, self.settings.offline_after)
    }

    fn grant(&mut self, line: LineId, exporter: Arc<str>) {
        let Namespace { queue, leases, .. } = &*self.namespace;
        let head = queue.line(line).and_then(|line| line.head(self.now));
        if let Some(lease) = head.and_then(|(_, id)| leases.get(id)) {
            let granted = lease.granted(exporter, self.now);
            self.put(granted);
        }
    }

    /// Rules H6-H13, H24, H25: whatever can never be served ends.
    fn refuse_the_hopeless(&mut self, lines: &BTreeMap<LineId, bool>) {
        for id in lines.iter().filter(|(_, fresh)| **fresh).map(|(id, _)| *id) {
            let Some((verdict, hopeless)) = self.hopeless(id) else {
                continue;
            };
            for lease in hopeless {
                let (kind, reason) = (verdict.kind(), verdict.reason());
                self.put(lease.refused(kind, reason, verdict.message(), self.now));
            }
        }
    }

    /// Everybody who is due in a line in which nobody can be served, and why not.
    fn hopeless(&self, id: LineId) -> Option<(Verdict, Vec<Arc<Lease>>)> {
        let Namespace { queue, leases, .. } = &*self.namespace;
        let line = queue.line(id)?;
        let (_, first) = line.head(self.now)?;
        let client = &leases.get(first)?.client;
        let verdict = self.namespace.verdict(&line.claim, client)?;
        let due = line
            .due(self.now, None)
            .filter_map(|(_, id)| leases.get(id).cloned());
        Some((verdict, due.collect()))
    }

    /// Rules H1, H14-H18: whoever is still there waits, and is told so once.
    fn tell_the_rest_to_wait(&mut self) {
        while let Some(id) = self.namespace.news.unanswered.pop_first() {
            if let Some(lease) = self.namespace.leases.get(&id) {
                let pending = lease.pending(self.now);
                self.put(pending);
            }
        }
    }

    /// Rule J16.
    fn forget_the_old(&mut self) {
        let then = self.now - self.settings.retention;
        while let Some(lease) = self.namespace.leases.ended_by(then) {
            let name = lease.name.clone();
            self.apply(Change::Remove(Kind::Lease, name));
        }
    }

    fn put(&mut self, mut lease: Lease) {
        lease.revision = self.revision;
        self.apply(Change::Put(Record::Lease(Arc::new(lease))));
    }

    fn apply(&mut self, change: Change) {
        self.namespace.apply(&change, self.settings.offline_after);
        self.changes.push(change);
    }
}
