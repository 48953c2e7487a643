//! The leases of one namespace: found by name, listed by what a filter asks for, and by when
//! something happens to them. Knows nothing of exporters and of who may have what.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::hash::Map;
use super::index::PairIndex;
use super::life::LeaseState;
use super::named::Named;
use super::query::{
    CLIENT_KEY, ENDED_KEY, EXPORTER_KEY, LeaseQuery, STATE_KEY, TAG_PREFIX, own_labels,
};
use super::record::Lease;
use super::selector::Selector;
use super::sorted::Sorted;
use super::time::{Duration, Timestamp};

#[derive(Clone, Default)]
pub(super) struct Leases {
    records: Named<Lease>,
    /// The names of those that have not ended.
    active: Sorted<Arc<str>>,
    /// The names of those that are known to wait.
    waiting: Sorted<Arc<str>>,
    /// Of those that have not ended, by client.
    active_by_client: PairIndex<Arc<str>>,
    /// By the labels a filter sees, client and exporter among them.
    by_label: PairIndex<Arc<str>>,
    by_tag: PairIndex<Arc<str>>,
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
    pub(super) fn get(&self, id: &str) -> Option<&Arc<Lease>> {
        self.records.get(id)
    }

    /// All of them, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Lease>> {
        self.records.iter()
    }

    /// Those that are known to wait, by name.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Arc<Lease>> {
        self.records.of(self.waiting.iter())
    }

    /// How many there are: in all, not ended, of these known to wait, and of these before their begin at
    /// `now`.
    pub(super) fn counts(&self, now: Timestamp) -> [usize; 4] {
        let (all, active) = (self.records.names().len(), self.active.len());
        let next = (now + Duration::new(0, 1), Arc::from(""));
        let to_come = self.begins.len() - self.begins.count_before(&next);
        [all, active, self.waiting.len(), to_come]
    }

    /// A selector equal to this one that some lease has: equal selectors are best kept once.
    pub(super) fn same_selector(&self, selector: &Selector) -> Option<Arc<Selector>> {
        self.selectors
            .get_key_value(selector)
            .map(|(selector, _)| selector.clone())
    }

    /// Puts a lease in the place of the one of the same name, which is returned.
    pub(super) fn put(&mut self, lease: &Arc<Lease>) -> Option<Arc<Lease>> {
        let id = &lease.name.id;
        let old = self.records.put(id, lease.clone());
        self.index(old.as_deref(), lease);
        self.plan(old.as_deref(), lease);
        old
    }

    /// Takes a lease away.
    pub(super) fn remove(&mut self, id: &str) -> Option<Arc<Lease>> {
        let lease = self.records.remove(id)?;
        let id = &lease.name.id;
        self.active.remove(&**id);
        self.waiting.remove(&**id);
        self.active_by_client.remove(CLIENT_KEY, &lease.client, id);
        self.by_label.remove(CLIENT_KEY, &lease.client, id);
        if let Some(exporter) = &lease.exporter {
            self.by_label.remove(EXPORTER_KEY, exporter, id);
        }
        for (key, value) in own_labels(&lease) {
            self.by_label.remove(key, value, id);
        }
        for (key, value) in &lease.tags {
            self.by_tag.remove(key, value, id);
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
            .is_some_and(|Reverse((_, id))| self.records.get(id).is_none())
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
        let names = self.narrowest(query).unwrap_or(self.records.names());
        let leases = self.records.of(names.after(after));
        leases
            .filter(|lease| query.accepts(now, lease))
            .take(limit)
            .collect()
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
        let (end, id) = self.ends.first()?;
        Some((*end, self.records.get(id)?)).filter(|(end, _)| *end <= now)
    }

    /// The lease that ended first, if it did so at `then` or before.
    pub(super) fn ended_by(&self, then: Timestamp) -> Option<&Arc<Lease>> {
        let Reverse((ended, id)) = self.ended.peek()?;
        self.records.get(id).filter(|_| *ended <= then)
    }

    /// The smallest set of names that all leases that match are in; `None`: all names.
    fn narrowest(&self, query: &LeaseQuery) -> Option<&Sorted<Arc<str>>> {
        const NOTHING: &Sorted<Arc<str>> = &Sorted::new();
        let mut sets: Vec<&Sorted<Arc<str>>> = Vec::new();
        for (key, value) in query.filter.equalities() {
            let set = match (key, key.strip_prefix(TAG_PREFIX)) {
                (_, Some(tag)) => self.by_tag.get(tag, value),
                (CLIENT_KEY, _) if query.only_active => self.active_by_client.get(key, value),
                (STATE_KEY | ENDED_KEY, _) => continue,
                _ => self.by_label.get(key, value),
            };
            sets.push(set.unwrap_or(NOTHING));
        }
        for (key, value) in query.tag_filter.equalities() {
            sets.push(self.by_tag.get(key, value).unwrap_or(NOTHING));
        }
        for (key, value) in query.filter.equalities() {
            match LeaseState::named(value).filter(|_| key == STATE_KEY) {
                Some(LeaseState::Scheduled | LeaseState::Pending) => sets.push(&self.waiting),
                Some(LeaseState::Ready) => sets.push(&self.active),
                Some(LeaseState::Ended) | None => {}
            }
        }
        if query.only_active {
            sets.push(&self.active);
        }
        sets.into_iter().min_by_key(|set| set.len())
    }

    /// Puts a lease where lists look for it, as far as it is not there already.
    fn index(&mut self, old: Option<&Lease>, lease: &Lease) {
        let id = &lease.name.id;
        if old.is_none() {
            *self.selectors.entry(lease.selector.clone()).or_default() += 1;
            for (key, value) in own_labels(lease) {
                self.by_label.insert(key, value, id.clone());
            }
            for (key, value) in &lease.tags {
                self.by_tag.insert(key, value, id.clone());
            }
        }
        let had_exporter = old.is_some_and(|old| old.exporter.is_some());
        if let Some(exporter) = lease.exporter.as_ref().filter(|_| !had_exporter) {
            self.by_label.insert(EXPORTER_KEY, exporter, id.clone());
        }
        let (was_active, is_active) = (old.is_some_and(is_active), is_active(lease));
        if was_active != is_active {
            include(&mut self.active, id, is_active);
        }
        let (did_wait, waits) = (old.is_some_and(is_known_to_wait), is_known_to_wait(lease));
        if did_wait != waits {
            include(&mut self.waiting, id, waits);
        }
        let has_same_client = old.is_some_and(|old| old.client == lease.client);
        if has_same_client && was_active == is_active {
            return;
        }
        if let Some(old) = old.filter(|_| was_active) {
            self.active_by_client.remove(CLIENT_KEY, &old.client, id);
        }
        if is_active {
            self.active_by_client
                .insert(CLIENT_KEY, &lease.client, id.clone());
        }
        if !has_same_client {
            if let Some(old) = old {
                self.by_label.remove(CLIENT_KEY, &old.client, id);
            }
            self.by_label.insert(CLIENT_KEY, &lease.client, id.clone());
        }
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

fn is_active(lease: &Lease) -> bool {
    lease.ended.is_none()
}

/// It has been looked at, and was told to wait.
fn is_known_to_wait(lease: &Lease) -> bool {
    lease.is_waiting() && !lease.conditions.is_empty()
}

fn include(set: &mut Sorted<Arc<str>>, id: &Arc<str>, is_in: bool) {
    if is_in {
        set.insert(id.clone());
    } else {
        set.remove(&**id);
    }
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
            let mut leases = Leases::default();
            for lease in life.iter().take(length) {
                leases.put(lease);
            }
            leases.remove("one");
            let Leases {
                records,
                active,
                waiting,
                active_by_client,
                by_label,
                ..
            } = &leases;
            assert!(records.iter().next().is_none(), "after {length} steps");
            assert!(
                active.is_empty() && waiting.is_empty(),
                "after {length} steps"
            );
            let by_pair = [active_by_client, by_label, &leases.by_tag];
            assert!(
                by_pair.iter().all(|index| index.is_empty()),
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
        let mut leases = Leases::default();
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
