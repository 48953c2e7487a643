//! The leases of one namespace: found by name and by when something happens to them. Knows nothing
//! of exporters and of who may have what.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::hash::Map;
use super::lists::{Found, Listed, Lists, Member, Names};
use super::query::LeaseQuery;
use super::record::Lease;
use super::selector::Selector;
use super::sorted::Sorted;
use super::time::{Duration, Timestamp};

#[derive(Clone)]
pub(super) struct Leases {
    records: Map<Arc<str>, Arc<Lease>>,
    /// How many of them have not ended.
    active: usize,
    /// The names of those that are known to wait.
    waiting: Names,
    /// None in a book that only decides: whoever lists its leases waits until all are sorted.
    lists: Option<Lists>,
    /// Every selector, with how many leases have it.
    selectors: Map<Arc<Selector>, usize>,
    /// The begins that waiting leases still wait for.
    begins: Sorted<Moment>,
    /// The planned ends of leases that have one and have not ended.
    ends: Sorted<Moment>,
    /// The ends of ended leases, earliest first.
    ended: BinaryHeap<Reverse<Moment>>,
}

/// When, and which lease.
type Moment = (Timestamp, Arc<str>);

impl Leases {
    /// None yet; with lists, or for a book that only decides.
    pub(super) fn new(with_lists: bool) -> Self {
        Self {
            records: Map::default(),
            active: 0,
            waiting: Sorted::default(),
            lists: with_lists.then(Lists::default),
            selectors: Map::default(),
            begins: Sorted::new(),
            ends: Sorted::new(),
            ended: BinaryHeap::new(),
        }
    }

    /// Keeps no lists from now on.
    pub(super) fn drop_lists(&mut self) {
        self.lists = None;
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<Lease>> {
        self.records.get(id)
    }

    /// All of them, by name.
    pub(super) fn by_name(&self) -> Vec<&Arc<Lease>> {
        if let Some(lists) = &self.lists {
            return self.named(lists.all().iter()).collect();
        }
        let mut leases: Vec<&Arc<Lease>> = self.records.values().collect();
        leases.sort_by_key(|lease| &lease.name.id);
        leases
    }

    /// Those that are known to wait, by name.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Arc<Lease>> {
        self.named(self.waiting.iter())
    }

    /// How many there are: in all, not ended, of these known to wait, and of these before their begin at
    /// `now`.
    pub(super) fn counts(&self, now: Timestamp) -> [usize; 4] {
        let next = (now + Duration::new(0, 1), Arc::from(""));
        let to_come = self.begins.len() - self.begins.count_before(&next);
        [self.records.len(), self.active, self.waiting.len(), to_come]
    }

    /// A selector equal to this one that some lease has: equal selectors are best kept once.
    pub(super) fn same_selector(&self, selector: &Selector) -> Option<Arc<Selector>> {
        self.selectors
            .get_key_value(selector)
            .map(|(selector, _)| selector.clone())
    }

    /// Puts a lease in the place of the one of the same name, which is returned.
    pub(super) fn put(&mut self, lease: &Arc<Lease>) -> Option<Arc<Lease>> {
        let old = self.records.insert(lease.name.id.clone(), lease.clone());
        let before = old.as_deref();
        self.count(before, lease);
        if let Some(lists) = &mut self.lists {
            lists.put(before, lease);
        }
        self.plan(before, lease);
        old
    }

    /// Takes a lease away.
    pub(super) fn remove(&mut self, id: &str) -> Option<Arc<Lease>> {
        let lease = self.records.remove(id)?;
        self.active -= usize::from(lease.ended.is_none());
        if is_known_to_wait(&lease) {
            self.waiting.remove(&Listed::new(&lease.name.id));
        }
        if let Some(lists) = &mut self.lists {
            lists.remove(&lease);
        }
        if let Some(count) = self.selectors.get_mut(&lease.selector) {
            *count -= 1;
            if *count == 0 {
                self.selectors.remove(&lease.selector);
            }
        }
        self.unplan(&lease);
        while self
            .ended
            .peek()
            .is_some_and(|Reverse((_, id))| !self.records.contains_key(id))
        {
            self.ended.pop();
        }
        Some(lease)
    }

    /// Leases that match, by name, from the first one after `after`.
    pub(super) fn list(
        &self,
        now: Timestamp,
        query: &LeaseQuery,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<&Arc<Lease>> {
        let is_behind = |lease: &&Arc<Lease>| after.is_none_or(|after| *lease.name.id > *after);
        let fits = |lease: &&Arc<Lease>| query.accepts(now, lease);
        let Some(lists) = &self.lists else {
            let mut leases = self.by_name();
            leases.retain(|lease| is_behind(lease) && fits(lease));
            leases.truncate(limit);
            return leases;
        };
        let after = after.map(|name| Listed::new(&Arc::from(name)));
        match lists.narrowest(query, &self.waiting) {
            Found::Names(names) => {
                let leases = self.named(names.after(after.as_ref()));
                leases.filter(fits).take(limit).collect()
            }
            Found::Active(active) => {
                let leases = active.after(after.as_ref()).map(Member::lease);
                leases.filter(fits).take(limit).collect()
            }
        }
    }

    /// When something next happens to a lease of itself: it is due, it ends, or it is forgotten.
    pub(super) fn next_moment(&self, retention: Duration) -> Option<Timestamp> {
        let begin = self.begins.first().map(|(at, _)| *at);
        let end = self.ends.first().map(|(at, _)| *at);
        let forgotten = self.ended.peek().map(|Reverse((at, _))| *at + retention);
        [begin, end, forgotten].into_iter().flatten().min()
    }

    /// A lease whose begin has come at `now`, once.
    pub(super) fn take_begun(&mut self, now: Timestamp) -> Option<Arc<str>> {
        if self.begins.first()?.0 > now {
            return None;
        }
        self.begins.pop_first().map(|(_, id)| id)
    }

    /// A lease that was planned to end by `now` and has not, with its planned end. The earliest
    /// first.
    pub(super) fn overdue(&self, now: Timestamp) -> Option<(Timestamp, &Arc<Lease>)> {
        let (end, id) = self.ends.first().filter(|(end, _)| *end <= now)?;
        Some((*end, self.records.get(id)?))
    }

    /// The lease that ended first, if it did so at `then` or before.
    pub(super) fn ended_by(&self, then: Timestamp) -> Option<&Arc<Lease>> {
        let Reverse((_, id)) = self.ended.peek().filter(|first| first.0.0 <= then)?;
        self.records.get(id)
    }

    /// The leases of these names, as far as there are such.
    fn named<'a, 'n>(
        &'a self,
        names: impl Iterator<Item = &'n Listed>,
    ) -> impl Iterator<Item = &'a Arc<Lease>> {
        names.filter_map(|listed| self.records.get(listed.name()))
    }

    fn count(&mut self, old: Option<&Lease>, lease: &Lease) {
        let is_active = |lease: &Lease| usize::from(lease.ended.is_none());
        self.active += is_active(lease);
        self.active -= old.map_or(0, is_active);
        if old.is_none() {
            *self.selectors.entry(lease.selector.clone()).or_default() += 1;
        }
        match (old.is_some_and(is_known_to_wait), is_known_to_wait(lease)) {
            (true, false) => self.waiting.remove(&Listed::new(&lease.name.id)),
            (false, true) => self.waiting.insert(Listed::new(&lease.name.id)),
            _ => false,
        };
    }

    fn plan(&mut self, old: Option<&Lease>, lease: &Lease) {
        let id = &lease.name.id;
        if let Some(old) = old {
            self.unplan(old);
        }
        match lease.ended {
            Some(ended) => {
                if old.is_none_or(|old| old.ended.is_none()) {
                    self.ended.push(Reverse((ended, id.clone())));
                }
            }
            None => {
                if let Some(end) = lease.planned_end() {
                    self.ends.insert((end, id.clone()));
                }
                if lease.exporter.is_none() && lease.begins_later() {
                    self.begins.insert((lease.due(), id.clone()));
                }
            }
        }
    }

    fn unplan(&mut self, old: &Lease) {
        if old.ended.is_some() {
            return;
        }
        if let Some(end) = old.planned_end() {
            self.ends.remove(&(end, old.name.id.clone()));
        }
        if old.exporter.is_none() && old.begins_later() {
            self.begins.remove(&(old.due(), old.name.id.clone()));
        }
    }
}

/// It has been looked at, and was told to wait.
fn is_known_to_wait(lease: &Lease) -> bool {
    lease.is_waiting() && !lease.conditions.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Labels, Name};

    fn lease(id: &str) -> Lease {
        Lease {
            name: Name::new("lab", id),
            client: Arc::from("anna"),
            selector: Arc::new(Selector::parse("board=rpi4").unwrap()),
            exporter_name: None,
            allow_disabled: false,
            begin: Some(Timestamp::new(100, 0)),
            end: None,
            duration: Some(Duration::from_seconds(60)),
            tags: Labels::from([("build", "7")]),
            context: Labels::new(),
            created: Timestamp::new(0, 0),
            released: false,
            exporter: None,
            effective_begin: None,
            ended: None,
            conditions: Vec::new(),
            generation: 1,
            revision: 1,
        }
    }

    /// However far a lease has come, everything forgets it when it is removed.
    #[test]
    fn nothing_is_left_of_a_lease_that_is_gone() {
        let new = lease("one");
        let waiting = new.pending(new.created);
        let held = waiting.granted(Arc::from("rpi4-01"), Timestamp::new(100, 0));
        let handed_on = Lease {
            client: Arc::from("ben"),
            ..held.clone()
        };
        let ended = handed_on.released(Timestamp::new(110, 0));
        let life = [new, waiting, held, handed_on, ended].map(Arc::new);
        for length in 1..=life.len() {
            let mut leases = Leases::new(true);
            for lease in life.iter().take(length) {
                leases.put(lease);
            }
            leases.remove("one");
            let lists = leases.lists.as_ref().unwrap();
            assert!(leases.records.is_empty(), "after {length} steps");
            assert_eq!(leases.active, 0, "after {length} steps");
            assert!(
                leases.waiting.is_empty() && lists.is_empty(),
                "after {length} steps"
            );
            assert!(leases.selectors.is_empty(), "after {length} steps");
            assert_eq!(
                leases.next_moment(Duration::ZERO),
                None,
                "after {length} steps"
            );
        }
    }

    #[test]
    fn equal_selectors_are_kept_once() {
        let mut leases = Leases::new(true);
        leases.put(&Arc::new(lease("one")));
        leases.put(&Arc::new(lease("two")));
        let same = |leases: &Leases| leases.same_selector(&lease("three").selector);
        assert!(same(&leases).is_some());
        leases.remove("one");
        assert!(same(&leases).is_some());
        leases.remove("two");
        assert!(same(&leases).is_none());
    }
}
