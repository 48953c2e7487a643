//! What only settling and deciding ask of the leases of a namespace: when each is planned to end, when
//! it ended, and which selectors there are. Knows nothing of who holds what.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::hash::Map;
use super::record::Lease;
use super::selector::Selector;
use super::sorted::Sorted;
use super::time::Timestamp;

/// When, and which lease.
pub(super) type Moment = (Timestamp, Arc<str>);

/// Only whoever settles a book needs any of this: one that is looked at goes without.
#[derive(Clone, Default)]
pub(super) struct Plans {
    /// Every selector, with how many leases have it.
    selectors: Map<Arc<Selector>, usize>,
    /// The planned ends of leases that have one and have not ended.
    ends: Sorted<Moment>,
    /// The ends of ended leases, earliest first. Leases that are gone may still be among them, but not as
    /// the first.
    ended: BinaryHeap<Reverse<Moment>>,
}

impl Plans {
    /// Plans of all these leases.
    pub(super) fn of<'l>(leases: impl Iterator<Item = &'l Arc<Lease>>) -> Self {
        let mut plans = Self::default();
        leases.for_each(|lease| plans.put(None, lease));
        plans
    }

    /// Plans for a lease, which was `old` before.
    pub(super) fn put(&mut self, old: Option<&Lease>, lease: &Lease) {
        match old {
            Some(old) => self.unplan(old),
            None => *self.selectors.entry(lease.selector.clone()).or_default() += 1,
        }
        let id = &lease.name.id;
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
            }
        }
    }

    /// Plans for a lease no more. `is_there` says which leases there still are.
    pub(super) fn remove(&mut self, lease: &Lease, is_there: impl Fn(&str) -> bool) {
        if let Some(count) = self.selectors.get_mut(&lease.selector) {
            *count -= 1;
            if *count == 0 {
                self.selectors.remove(&lease.selector);
            }
        }
        self.unplan(lease);
        while self.ended.peek().is_some_and(|first| !is_there(&first.0.1)) {
            self.ended.pop();
        }
    }

    /// A selector equal to this one that some lease has: equal selectors are best kept once.
    pub(super) fn same_selector(&self, selector: &Selector) -> Option<Arc<Selector>> {
        let (selector, _) = self.selectors.get_key_value(selector)?;
        Some(selector.clone())
    }

    /// The first planned end.
    pub(super) fn end(&self) -> Option<&Moment> {
        self.ends.first()
    }

    /// The first end of all leases that have ended.
    pub(super) fn ended(&self) -> Option<&Moment> {
        self.ended.peek().map(|Reverse(first)| first)
    }

    fn unplan(&mut self, old: &Lease) {
        if old.ended.is_none()
            && let Some(end) = old.planned_end()
        {
            self.ends.remove(&(end, old.name.id.clone()));
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.selectors.is_empty() && self.ends.is_empty() && self.ended.is_empty()
    }
}
