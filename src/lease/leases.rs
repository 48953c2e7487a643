//! The leases of one namespace: found by name and by when something happens to them. Knows nothing
//! of exporters and of who may have what.

use std::sync::Arc;

use super::book::Purpose;
use super::hash::Map;
use super::lists::{Found, Listed, Lists, Member, Names};
use super::plans::{Moment, Plans};
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
    /// None in a book that only shows: it is never settled.
    plans: Option<Plans>,
    /// The begins that waiting leases still wait for.
    begins: Sorted<Moment>,
}

impl Leases {
    /// None yet, in a book for this purpose.
    pub(super) fn new(purpose: Purpose) -> Self {
        Self {
            records: Map::default(),
            active: 0,
            waiting: Sorted::default(),
            lists: purpose.shows().then(Lists::default),
            plans: purpose.decides().then(Plans::default),
            begins: Sorted::new(),
        }
    }

    /// Serves this purpose from now on, and no other.
    pub(super) fn serve(&mut self, purpose: Purpose) {
        if !purpose.shows() {
            self.lists = None;
        } else if self.lists.is_none() {
            self.lists = Some(Lists::of(self.records.values()));
        }
        if !purpose.decides() {
            self.plans = None;
        } else if self.plans.is_none() {
            self.plans = Some(Plans::of(self.records.values()));
        }
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
        self.plans.as_ref()?.same_selector(selector)
    }

    /// Puts a lease in the place of the one of the same name, which is returned.
    pub(super) fn put(&mut self, lease: &Arc<Lease>) -> Option<Arc<Lease>> {
        let old = self.records.insert(lease.name.id.clone(), lease.clone());
        let before = old.as_deref();
        self.count(before, lease);
        self.note_begin(before, lease);
        if let Some(lists) = &mut self.lists {
            lists.put(before, lease);
        }
        if let Some(plans) = &mut self.plans {
            plans.put(before, lease);
        }
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
        if let Some(plans) = &mut self.plans {
            plans.remove(&lease, |id| self.records.contains_key(id));
        }
        self.begin_no_more(&lease);
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
        let plans = self.plans.as_ref();
        let begin = self.begins.first().map(|(at, _)| *at);
        let end = plans.and_then(Plans::end).map(|(at, _)| *at);
        let ended = plans.and_then(Plans::ended);
        let forgotten = ended.map(|(at, _)| *at + retention);
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
        let end = self.plans.as_ref()?.end();
        let (end, id) = end.filter(|(end, _)| *end <= now)?;
        Some((*end, self.records.get(id)?))
    }

    /// The lease that ended first, if it did so at `then` or before.
    pub(super) fn ended_by(&self, then: Timestamp) -> Option<&Arc<Lease>> {
        let ended = self.plans.as_ref()?.ended();
        let (_, id) = ended.filter(|(ended, _)| *ended <= then)?;
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
        match (old.is_some_and(is_known_to_wait), is_known_to_wait(lease)) {
            (true, false) => self.waiting.remove(&Listed::new(&lease.name.id)),
            (false, true) => self.waiting.insert(Listed::new(&lease.name.id)),
            _ => false,
        };
    }

    /// Whether the lease, which was `old` before, waits for its begin.
    fn note_begin(&mut self, old: Option<&Lease>, lease: &Lease) {
        if let Some(old) = old {
            self.begin_no_more(old);
        }
        if lease.is_waiting() && lease.begins_later() {
            self.begins.insert((lease.due(), lease.name.id.clone()));
        }
    }

    fn begin_no_more(&mut self, old: &Lease) {
        if old.is_waiting() && old.begins_later() {
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
            let mut leases = Leases::new(Purpose::Both);
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
            assert!(
                leases.plans.as_ref().unwrap().is_empty(),
                "after {length} steps"
            );
            assert_eq!(
                leases.next_moment(Duration::ZERO),
                None,
                "after {length} steps"
            );
        }
    }

    #[test]
    fn another_lease_of_the_same_name_is_listed_as_itself() {
        let mut leases = Leases::new(Purpose::Show);
        let held = lease("one").granted(Arc::from("rpi4-01"), Timestamp::new(100, 0));
        leases.put(&Arc::new(held.released(Timestamp::new(110, 0))));
        let another = Lease {
            created: Timestamp::new(900, 0),
            tags: Labels::from([("build", "8")]),
            ..lease("one")
        };
        let held = another.granted(Arc::from("rpi4-02"), Timestamp::new(900, 0));
        leases.put(&Arc::new(held));
        let found = |tags: &str| {
            let query = LeaseQuery {
                filter: Selector::parse("").unwrap(),
                tag_filter: Selector::parse(tags).unwrap(),
                only_active: false,
            };
            leases.list(Timestamp::new(910, 0), &query, None, 10).len()
        };
        assert_eq!([found("build=7"), found("build=8")], [0, 1]);
    }

    /// A writer takes over the book of readers where a commit has failed.
    #[test]
    fn what_another_purpose_does_without_comes_back() {
        let mut leases = Leases::new(Purpose::Both);
        let held = lease("two").granted(Arc::from("rpi4-01"), Timestamp::new(100, 0));
        let ended = lease("one").released(Timestamp::new(50, 0));
        for lease in [lease("three"), held, ended] {
            leases.put(&Arc::new(lease));
        }
        let seen = |leases: &Leases| {
            let by_name = leases.by_name().into_iter().cloned().collect::<Vec<_>>();
            let moments = [0, 1_000].map(|kept| leases.next_moment(Duration::from_seconds(kept)));
            let overdue = leases.overdue(Timestamp::new(500, 0)).map(|(at, _)| at);
            let twin = leases.same_selector(&lease("four").selector).is_some();
            (by_name, moments, overdue, twin)
        };
        let before = seen(&leases);
        for purpose in [Purpose::Show, Purpose::Decide, Purpose::Show] {
            leases.serve(purpose);
        }
        assert_ne!(seen(&leases), before);
        leases.serve(Purpose::Both);
        assert_eq!(seen(&leases), before);
    }

    #[test]
    fn equal_selectors_are_kept_once() {
        let mut leases = Leases::new(Purpose::Both);
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
