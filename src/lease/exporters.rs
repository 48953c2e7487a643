//! The exporters of one namespace: what they are, who holds them, and which of them could be
//! assigned. Knows nothing of who waits.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::hash::{Map, Set};
use super::index::PairIndex;
use super::named::Named;
use super::record::{Exporter, ExporterStatus};
use super::selector::Selector;
use super::sorted::Sorted;
use super::time::{Duration, Timestamp};

#[derive(Clone, Default)]
pub(super) struct Exporters {
    records: Named<Exporter>,
    by_label: PairIndex<Arc<str>>,
    /// The active lease on each exporter that has one. There is room for one only: two holders of
    /// one exporter cannot be written down (rule I15).
    holders: Map<Arc<str>, Arc<str>>,
    free: Free,
}

/// Exporters that could be assigned as far as records tell: enabled, in use, ready and not held.
/// Whether one of them is online depends on the moment, and is asked when it is looked at.
#[derive(Clone, Default)]
struct Free {
    names: Set<Arc<str>>,
    /// By the label keys that selectors have asked for so far, and no others: most labels are
    /// never asked for, and every assignment would pay for them.
    by_label: PairIndex<Arc<str>>,
    keys: BTreeSet<Box<str>>,
}

/// Stands among label keys, of which none is empty, for a label that every exporter has, without
/// a value: for selectors that ask for no certain label.
const EVERY: &str = "";

/// What a change to an exporter may lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Effect {
    /// It may be assigned now and could not be before.
    pub(super) freed: bool,
    /// Leases that it could have served may have lost their last hope.
    pub(super) withdrawn: bool,
}

impl Exporter {
    /// True if it can be reached at `now` (rules P3-P7). A static one always can.
    pub(super) fn is_reachable(&self, now: Timestamp, offline_after: Duration) -> bool {
        let is_heard = |seen| now - seen <= offline_after;
        self.is_static
            || (self.status != ExporterStatus::Offline && self.last_seen.is_some_and(is_heard))
    }

    /// True if it is one to lease at `now`: registered and within reach (rule H21).
    pub(super) fn is_online(&self, now: Timestamp, offline_after: Duration) -> bool {
        (self.is_static || self.registered) && self.is_reachable(now, offline_after)
    }

    /// True if it can be leased at `now` apart from being held: online, and ready for a new lease
    /// (rule H20).
    pub(super) fn is_ready(&self, now: Timestamp, offline_after: Duration) -> bool {
        self.is_usable() && self.is_online(now, offline_after)
    }

    /// As far as the record alone can tell, [`Self::is_ready`].
    fn is_usable(&self) -> bool {
        let ready = matches!(
            self.status,
            ExporterStatus::Available | ExporterStatus::Unspecified
        );
        self.is_static || (self.registered && ready && self.last_seen.is_some())
    }
}

impl Exporters {
    pub(super) fn get(&self, id: &str) -> Option<&Arc<Exporter>> {
        self.records.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Exporter>> {
        self.records.iter()
    }

    /// The lease that holds an exporter.
    pub(super) fn holder(&self, id: &str) -> Option<&Arc<str>> {
        self.holders.get(id)
    }

    /// True if an exporter could be assigned at `now`, whether or not it is enabled.
    pub(super) fn is_available(&self, id: &str, now: Timestamp, offline_after: Duration) -> bool {
        let is_ready = |exporter: &Arc<Exporter>| exporter.is_ready(now, offline_after);
        !self.holders.contains_key(id) && self.records.get(id).is_some_and(is_ready)
    }

    /// Every exporter that `selector` can match, and more, by name, from the first one after
    /// `after`.
    pub(super) fn candidates(
        &self,
        selector: &Selector,
        after: Option<&str>,
    ) -> impl Iterator<Item = &Arc<Exporter>> {
        let names = match self.by_label.narrowest(selector) {
            Some(narrowest) => narrowest.items,
            None => Some(self.records.names()),
        };
        self.records
            .of(names.into_iter().flat_map(move |names| names.after(after)))
    }

    /// The pair that the fewest exporters have, of those that `selector` asks for.
    pub(super) fn narrowest_pair<'s>(&self, selector: &'s Selector) -> Option<(&'s str, &'s str)> {
        self.by_label
            .narrowest(selector)
            .map(|narrowest| (narrowest.key, narrowest.value))
    }

    /// Puts a record in the place of the one of the same name.
    pub(super) fn put(&mut self, exporter: Arc<Exporter>, offline_after: Duration) -> Effect {
        let id = exporter.name.id.clone();
        let old = self.records.put(&id, exporter.clone());
        let relabelled = old.as_ref().is_none_or(|old| old.labels != exporter.labels);
        if relabelled {
            if let Some(old) = &old {
                self.remove_labels(old);
            }
            for (key, value) in &exporter.labels {
                self.by_label.insert(key, value, id.clone());
            }
        }
        let is_free = exporter.is_usable() && !self.holders.contains_key(&id);
        let was_free = old.as_ref().is_some_and(|old| old.is_usable() && is_free);
        let mut is_news = false;
        if is_free && exporter.enabled {
            is_news = self.free.add(&exporter);
        } else {
            self.free.remove(&exporter);
        }
        let Some(old) = old else {
            return Effect {
                freed: is_free,
                withdrawn: false,
            };
        };
        // Nobody is told when an exporter falls silent, so one that is heard of again may have
        // been passed over meanwhile. A clock that was set back tells nothing.
        let was_away = match (old.last_seen, exporter.last_seen) {
            (Some(before), Some(seen)) => seen - before > offline_after || seen < before,
            _ => false,
        };
        Effect {
            freed: is_free && (is_news || !was_free || was_away || relabelled),
            withdrawn: relabelled || (old.enabled && !exporter.enabled),
        }
    }

    /// Takes a record away. A lease that holds the exporter goes on holding it.
    pub(super) fn remove(&mut self, id: &str) {
        if let Some(old) = self.records.remove(id) {
            self.remove_labels(&old);
        }
    }

    /// Writes down that `lease` holds an exporter.
    pub(super) fn hold(&mut self, id: &Arc<str>, lease: &Arc<str>) {
        self.holders.insert(id.clone(), lease.clone());
        if let Some(exporter) = self.records.get(id) {
            self.free.remove(exporter);
        }
    }

    /// Writes down that `lease` holds an exporter no more. True if the exporter may be assigned
    /// now.
    pub(super) fn release(&mut self, id: &str, lease: &str) -> bool {
        if self.holders.get(id).is_none_or(|holder| **holder != *lease) {
            return false;
        }
        self.holders.remove(id);
        let Some(exporter) = self.records.get(id) else {
            return false;
        };
        if exporter.is_usable() && exporter.enabled {
            self.free.add(exporter);
        }
        exporter.is_usable()
    }

    /// Makes ready for finding free exporters by what `selector` asks for.
    pub(super) fn expect(&mut self, selector: &Selector) {
        for key in asked_for(selector) {
            if self.free.keys.contains(key) {
                continue;
            }
            self.free.keys.insert(key.into());
            for exporter in self.records.of(self.free.names.iter()) {
                if let Some(value) = value_of(exporter, key) {
                    self.free
                        .by_label
                        .insert(key, value, exporter.name.id.clone());
                }
            }
        }
    }

    /// Free exporters that `selector` can match, and more, by name. The selector must be expected.
    pub(super) fn free(&self, selector: &Selector) -> impl Iterator<Item = &Arc<Exporter>> {
        let names = match self.free.by_label.narrowest(selector) {
            Some(narrowest) => narrowest.items,
            None => self.free.by_label.get(EVERY, ""),
        };
        self.records.of(names.into_iter().flat_map(Sorted::iter))
    }

    /// Forgets that an exporter is free, as it turned out to be offline; it is free again when it
    /// is next heard of.
    pub(super) fn lapse(&mut self, exporter: &Exporter) {
        self.free.remove(exporter);
    }

    fn remove_labels(&mut self, exporter: &Exporter) {
        self.free.remove(exporter);
        for (key, value) in &exporter.labels {
            self.by_label.remove(key, value, &exporter.name.id);
        }
    }
}

impl Free {
    /// True if it was not there before.
    fn add(&mut self, exporter: &Exporter) -> bool {
        let is_new = self.names.insert(exporter.name.id.clone());
        if is_new {
            for key in &self.keys {
                if let Some(value) = value_of(exporter, key) {
                    self.by_label.insert(key, value, exporter.name.id.clone());
                }
            }
        }
        is_new
    }

    fn remove(&mut self, exporter: &Exporter) {
        if self.names.remove(&*exporter.name.id) {
            for key in &self.keys {
                if let Some(value) = value_of(exporter, key) {
                    self.by_label.remove(key, value, &exporter.name.id);
                }
            }
        }
    }
}

/// The keys that free exporters have to be found by for a selector.
fn asked_for(selector: &Selector) -> impl Iterator<Item = &str> {
    let every = selector.equalities().next().is_none().then_some(EVERY);
    selector.equalities().map(|(key, _)| key).chain(every)
}

fn value_of<'a>(exporter: &'a Exporter, key: &str) -> Option<&'a str> {
    if key == EVERY {
        Some("")
    } else {
        exporter.labels.get(key)
    }
}
