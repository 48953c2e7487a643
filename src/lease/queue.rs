//! Who waits: the leases without an exporter, standing in lines. Knows leases, exporters' labels
//! and access; nothing of which exporters are free.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::access::Policies;
use super::claim::{Claim, Wish};
use super::exporters::Exporters;
use super::hash::Map;
use super::index::PairIndex;
use super::record::{Client, Exporter, Lease};
use super::sorted::Sorted;
use super::time::{Duration, Timestamp};

/// The leases of one namespace that wait, whether for an exporter or for their begin.
#[derive(Clone, Default)]
pub(super) struct Queue {
    lines: BTreeMap<LineId, Line>,
    by_wish: Map<Wish, LineId>,
    /// In which line each waiting lease stands, and since when it is due.
    places: Map<Arc<str>, (LineId, Timestamp)>,
    /// The lines by the pair that an exporter must have to be wanted there.
    by_pair: PairIndex<LineId>,
    /// The lines that any exporter may be wanted in.
    anywhere: Sorted<LineId>,
    last_id: u64,
}

/// Names a line as long as anybody stands in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct LineId(u64);

/// The waiting leases that no exporter can tell apart. They are served in the order in which they
/// fall due, then by name (rule I14); so only the first of a line ever has to be looked at.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) claim: Claim,
    /// Those who are due.
    arrived: Sorted<Turn>,
    /// Those who are due at their begin.
    scheduled: Sorted<Turn>,
    /// Its place in [`Queue::by_pair`], if it has one.
    pair: Option<(Box<str>, Box<str>)>,
}

/// Stands for the exporter's name among label keys, of which none is empty.
const NAME_KEY: &str = "";

/// When a lease is due, and its name: its place in its line.
pub(super) type Turn = (Timestamp, Arc<str>);

impl Line {
    /// Whose turn it is at `now`; `None` if nobody is due yet.
    pub(super) fn head(&self, now: Timestamp) -> Option<&Turn> {
        let begun = self.scheduled.first().filter(|(begin, _)| *begin <= now);
        self.arrived.first().into_iter().chain(begun).min()
    }

    /// Everybody who is due at `now` and stands before `bound`, if there is one.
    pub(super) fn due(&self, now: Timestamp, bound: Option<&Turn>) -> impl Iterator<Item = &Turn> {
        let is_before = move |turn: &&Turn| bound.is_none_or(|bound| *turn < bound);
        let arrived = self.arrived.iter().take_while(is_before);
        let begun = self.scheduled.iter().take_while(is_before);
        arrived.chain(begun.take_while(move |(begin, _)| *begin <= now))
    }

    /// How many are due at `now`.
    pub(super) fn count_due(&self, now: Timestamp) -> usize {
        let next = (now + Duration::new(0, 1), Arc::from(""));
        self.arrived.len() + self.scheduled.count_before(&next)
    }

    /// How many stand before this place in time.
    pub(super) fn count_before(&self, turn: &Turn) -> usize {
        self.arrived.count_before(turn) + self.scheduled.count_before(turn)
    }
}

impl Queue {
    /// Puts a waiting lease into its line. Returns the line if the lease is the first in it now: what
    /// holds for it was not known before.
    pub(super) fn enter(
        &mut self,
        lease: &Lease,
        policies: &Policies,
        client: Option<&Client>,
        exporters: &Exporters,
    ) -> Option<LineId> {
        let claim = Claim::of(lease, policies, client);
        let id = match self.by_wish.get(&claim.wish) {
            Some(id) => *id,
            None => self.open(claim, exporters),
        };
        let line = self.lines.get_mut(&id)?;
        let turn = (lease.due(), lease.name.id.clone());
        self.places.insert(lease.name.id.clone(), (id, turn.0));
        let waiting = if lease.begins_later() {
            &mut line.scheduled
        } else {
            &mut line.arrived
        };
        let is_first = waiting.first().is_none_or(|first| turn < *first);
        waiting.insert(turn);
        is_first.then_some(id)
    }

    /// Takes a lease out of its line, and the line away with the last of its leases. Returns the
    /// line if it is gone.
    pub(super) fn leave(&mut self, lease: &str) -> Option<LineId> {
        let (name, (id, due)) = self.places.remove_entry(lease)?;
        let line = self.lines.get_mut(&id)?;
        let turn = (due, name);
        line.arrived.remove(&turn);
        line.scheduled.remove(&turn);
        if !line.arrived.is_empty() || !line.scheduled.is_empty() {
            return None;
        }
        self.close(id);
        Some(id)
    }

    pub(super) fn line(&self, id: LineId) -> Option<&Line> {
        self.lines.get(&id)
    }

    /// The line in which a lease stands, and its place there.
    pub(super) fn place(&self, lease: &str) -> Option<(LineId, Turn)> {
        let (name, (id, due)) = self.places.get_key_value(lease)?;
        Some((*id, (*due, name.clone())))
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = (LineId, &Line)> {
        self.lines.iter().map(|(id, line)| (*id, line))
    }

    /// The lines that may want an exporter, as far as its name and labels tell.
    pub(super) fn lines_for<'a>(
        &'a self,
        exporter: &'a Exporter,
    ) -> impl Iterator<Item = (LineId, &'a Line)> {
        let named = self.by_pair.get(NAME_KEY, &exporter.name.id).into_iter();
        let sets = named
            .chain(self.by_pair.sets_of(&exporter.labels))
            .chain([&self.anywhere]);
        sets.flat_map(Sorted::iter)
            .filter_map(|id| Some((*id, self.lines.get(id)?)))
    }

    fn open(&mut self, claim: Claim, exporters: &Exporters) -> LineId {
        self.last_id += 1;
        let id = LineId(self.last_id);
        let pair = match &claim.wish.exporter_name {
            Some(name) => Some((NAME_KEY, &**name)),
            None => exporters.narrowest_pair(&claim.wish.selector),
        };
        let pair: Option<(Box<str>, Box<str>)> =
            pair.map(|(key, value)| (key.into(), value.into()));
        match &pair {
            Some((key, value)) => self.by_pair.insert(key, value, id),
            None => {
                self.anywhere.insert(id);
            }
        }
        self.by_wish.insert(claim.wish.clone(), id);
        let (arrived, scheduled) = (Sorted::default(), Sorted::default());
        self.lines.insert(
            id,
            Line {
                claim,
                arrived,
                scheduled,
                pair,
            },
        );
        id
    }

    fn close(&mut self, id: LineId) {
        let Some(line) = self.lines.remove(&id) else {
            return;
        };
        self.by_wish.remove(&line.claim.wish);
        match &line.pair {
            Some((key, value)) => self.by_pair.remove(key, value, &id),
            None => {
                self.anywhere.remove(&id);
            }
        }
    }
}
