//! The last commits, for those who follow along: what each of them did to leases and exporters.
//! Knows nothing of who reads it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::lease::{Book, Change, Exporter, Kind, Lease, Name, Record, Timestamp};

/// What one commit did to the records that can be followed.
#[derive(Debug)]
pub struct Commit {
    pub revision: u64,
    /// When it was decided. Every lease that had ended by then is an ended record.
    pub at: Timestamp,
    /// The same of the commit before it.
    pub before: Timestamp,
    /// In the order in which they came to be what they are now.
    pub leases: Vec<Effect<Lease>>,
    /// In the order in which they came to be what they are now.
    pub exporters: Vec<Effect<Exporter>>,
}

/// What a commit did to one record, however many steps it took.
#[derive(Debug)]
pub struct Effect<T> {
    pub name: Name,
    /// The record before the commit; none where there was none.
    pub before: Option<Arc<T>>,
    /// The record since the commit; none where it is gone.
    pub after: Option<Arc<T>>,
}

/// What happened is not known any more: it lies further back than the history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forgotten;

/// The commits since `base`, up to a number of effects. The newest commit is always there.
pub struct History {
    commits: VecDeque<Arc<Commit>>,
    /// The revision before the oldest commit.
    base: u64,
    effects: usize,
    limit: usize,
    latest: Timestamp,
}

impl<T> Effect<T> {
    fn new(name: &Name, before: Option<&Arc<T>>, after: Option<&Arc<T>>) -> Self {
        Self {
            name: name.clone(),
            before: before.cloned(),
            after: after.cloned(),
        }
    }
}

impl Commit {
    /// What `changes`, at most one for each record, do to `book`, which has not seen them yet.
    fn new(
        book: &Book,
        changes: &[Change],
        revision: u64,
        before: Timestamp,
        at: Timestamp,
    ) -> Self {
        let (mut leases, mut exporters) = (Vec::new(), Vec::new());
        for change in changes {
            let name = change.name();
            match change {
                Change::Put(Record::Lease(lease)) => {
                    leases.push(Effect::new(name, book.lease(name), Some(lease)));
                }
                Change::Remove(Kind::Lease, _) => {
                    leases.push(Effect::new(name, book.lease(name), None));
                }
                Change::Put(Record::Exporter(exporter)) => {
                    exporters.push(Effect::new(name, book.exporter(name), Some(exporter)));
                }
                Change::Remove(Kind::Exporter, _) => {
                    exporters.push(Effect::new(name, book.exporter(name), None));
                }
                // Nobody can follow these.
                Change::Put(Record::Client(_) | Record::Policy(_))
                | Change::Remove(Kind::Client | Kind::Policy, _) => {}
            }
        }
        Self {
            revision,
            at,
            before,
            leases,
            exporters,
        }
    }

    /// What it did to this lease, if anything.
    fn lease(&self, name: &Name) -> Option<&Effect<Lease>> {
        self.leases.iter().find(|effect| effect.name == *name)
    }

    /// What it counts for against the limit.
    fn weight(&self) -> usize {
        (self.leases.len() + self.exporters.len()).max(1)
    }
}

impl History {
    /// A history that begins after the revision `base`, which was known at `now`.
    pub fn new(base: u64, now: Timestamp, limit: usize) -> Self {
        Self {
            commits: VecDeque::new(),
            base,
            effects: 0,
            limit,
            latest: now,
        }
    }

    /// How many effects are kept from now on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.trim();
    }

    /// Takes in what `changes`, at most one for each record, will do to `book`, and returns it.
    pub fn add(
        &mut self,
        book: &Book,
        changes: &[Change],
        revision: u64,
        at: Timestamp,
    ) -> Arc<Commit> {
        let commit = Arc::new(Commit::new(book, changes, revision, self.latest, at));
        self.latest = at;
        self.effects += commit.weight();
        self.commits.push_back(commit.clone());
        self.trim();
        commit
    }

    /// At most `limit` commits after a revision, the oldest first.
    pub fn since(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Commit>>, Forgotten> {
        let newest = self
            .commits
            .back()
            .map_or(self.base, |commit| commit.revision);
        if revision < self.base || revision > newest {
            return Err(Forgotten);
        }
        let start = self
            .commits
            .partition_point(|commit| commit.revision <= revision);
        let after = self.commits.iter().skip(start).take(limit);
        Ok(after.cloned().collect())
    }

    /// The commits after a revision that touched this lease, the oldest first. Each record tells
    /// the revision of the one before it, so that nothing is forgotten while a lease just rests.
    pub fn lease_since(&self, name: &Name, revision: u64) -> Result<Vec<Arc<Commit>>, Forgotten> {
        let mut found = VecDeque::new();
        let newer = |commit: &&Arc<Commit>| commit.revision > revision;
        for commit in self.commits.iter().rev().take_while(newer) {
            let Some(effect) = commit.lease(name) else {
                continue;
            };
            found.push_front(commit.clone());
            let before = effect.before.as_ref();
            if before.is_none_or(|before| before.revision <= revision) {
                return Ok(found.into());
            }
        }
        if revision < self.base {
            return Err(Forgotten);
        }
        Ok(found.into())
    }

    fn trim(&mut self) {
        while self.effects > self.limit && self.commits.len() > 1 {
            if let Some(oldest) = self.commits.pop_front() {
                self.effects -= oldest.weight();
                self.base = oldest.revision;
            }
        }
    }
}
