//! Where lists of leases are found: the names of one namespace's leases, by what a filter may ask
//! for. Knows nothing of what happens to a lease.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::hash::Map;
use super::index::PairIndex;
use super::life::LeaseState;
use super::query::{
    CLIENT_KEY, ENDED_KEY, EXPORTER_KEY, LeaseQuery, STATE_KEY, TAG_PREFIX, own_labels,
};
use super::record::Lease;
use super::sorted::Sorted;

/// Names, in order.
pub(super) type Names = Sorted<Listed>;

/// A name with its beginning at hand: to compare two of them, one hardly ever has to look where their
/// texts are, each of them somewhere else in memory.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// The first 16 bytes, padded with zeros, as a number that compares as the text does.
    head: u128,
    name: Arc<str>,
}

/// A lease among those that have not ended: most lists are of these, and need not look it up.
#[derive(Clone)]
pub(super) struct Member {
    name: Listed,
    lease: Arc<Lease>,
}

/// Only whoever lists leases needs any of this, and it is the larger half of what a change to one costs:
/// a book that only decides goes without.
#[derive(Clone, Default)]
pub(super) struct Lists {
    all: Names,
    /// Those that have not ended, as they are.
    active: Sorted<Member>,
    by_client: Map<Arc<str>, OfClient>,
    by_exporter: Map<Arc<str>, Names>,
    /// By the other labels that a filter sees.
    by_label: PairIndex<Listed>,
    by_tag: PairIndex<Listed>,
}

/// The leases of one client.
#[derive(Clone, Default)]
struct OfClient {
    all: Names,
    /// Of those that have not ended.
    active: Names,
}

/// Where leases that match are found, and others.
pub(super) enum Found<'a> {
    Names(&'a Names),
    Active(&'a Sorted<Member>),
}

const NOTHING: &Names = &Sorted::new();

impl Listed {
    pub(super) fn new(name: &Arc<str>) -> Self {
        let bytes = name.as_bytes();
        let mut head = [0; 16];
        let len = bytes.len().min(head.len());
        if let (Some(to), Some(from)) = (head.get_mut(..len), bytes.get(..len)) {
            to.copy_from_slice(from);
        }
        Self {
            head: u128::from_be_bytes(head),
            name: name.clone(),
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl Ord for Listed {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_head = self.head.cmp(&other.head);
        by_head.then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for Listed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    fn lt(&self, other: &Self) -> bool {
        self.head < other.head || (self.head == other.head && self.name < other.name)
    }
}

impl Member {
    pub(super) fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }
}

impl Borrow<Listed> for Member {
    fn borrow(&self) -> &Listed {
        &self.name
    }
}

impl PartialEq for Member {
    /// Members are told apart by their names, as in every list.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Member {}

impl Ord for Member {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl PartialOrd for Member {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    fn lt(&self, other: &Self) -> bool {
        self.name < other.name
    }
}

impl Found<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Names(names) => names.len(),
            Self::Active(active) => active.len(),
        }
    }
}

impl Lists {
    /// Lists of all these leases.
    pub(super) fn of<'l>(leases: impl Iterator<Item = &'l Arc<Lease>>) -> Self {
        let mut lists = Self::default();
        leases.for_each(|lease| lists.put(None, lease));
        lists
    }

    /// All names.
    pub(super) fn all(&self) -> &Names {
        &self.all
    }

    /// Puts a lease, which was `old` before, where it is looked for, as far as it is not there
    /// already.
    pub(super) fn put(&mut self, old: Option<&Lease>, lease: &Arc<Lease>) {
        // One commit can forget a lease and make another of its name.
        let gone = old.filter(|old| old.created != lease.created);
        if let Some(gone) = gone {
            self.remove(gone);
        }
        let old = old.filter(|_| gone.is_none());
        let id = &Listed::new(&lease.name.id);
        if old.is_none() {
            self.all.insert(id.clone());
            for (key, value) in own_labels(lease) {
                self.by_label.insert(key, value, id.clone());
            }
            for (key, value) in &lease.tags {
                self.by_tag.insert(key, value, id.clone());
            }
        }
        let had_exporter = old.is_some_and(|old| old.exporter.is_some());
        if let Some(exporter) = lease.exporter.as_ref().filter(|_| !had_exporter) {
            let names = self.by_exporter.entry(exporter.clone()).or_default();
            names.insert(id.clone());
        }
        let (was_active, is_active) = (old.is_some_and(is_active), is_active(lease));
        let member = || Member {
            name: id.clone(),
            lease: lease.clone(),
        };
        match (was_active, is_active) {
            (false, true) => drop(self.active.insert(member())),
            (true, true) => self.active.replace(member()),
            (_, false) => drop(self.active.remove(id)),
        }
        let had_client = old.filter(|old| old.client == lease.client);
        if had_client.is_some() && was_active == is_active {
            return;
        }
        if let Some(old) = old.filter(|_| had_client.is_none()) {
            self.leave_client(&old.client, id);
        }
        let of_client = self.by_client.entry(lease.client.clone()).or_default();
        if had_client.is_none() {
            of_client.all.insert(id.clone());
        }
        if is_active {
            of_client.active.insert(id.clone());
        } else {
            of_client.active.remove(id);
        }
    }

    /// Takes a lease out of all lists.
    pub(super) fn remove(&mut self, lease: &Lease) {
        let id = &Listed::new(&lease.name.id);
        self.all.remove(id);
        self.active.remove(id);
        self.leave_client(&lease.client, id);
        if let Some(exporter) = &lease.exporter
            && let Some(names) = self.by_exporter.get_mut(exporter)
        {
            names.remove(id);
            if names.is_empty() {
                self.by_exporter.remove(exporter);
            }
        }
        for (key, value) in own_labels(lease) {
            self.by_label.remove(key, value, id);
        }
        for (key, value) in &lease.tags {
            self.by_tag.remove(key, value, id);
        }
    }

    fn leave_client(&mut self, client: &str, id: &Listed) {
        let Some(of_client) = self.by_client.get_mut(client) else {
            return;
        };
        of_client.all.remove(id);
        of_client.active.remove(id);
        if of_client.all.is_empty() {
            self.by_client.remove(client);
        }
    }

    /// The fewest leases among which all that match are. `waiting` are the names of those that wait.
    pub(super) fn narrowest<'a>(&'a self, query: &LeaseQuery, waiting: &'a Names) -> Found<'a> {
        let of_filter = query.filter.equalities().flat_map(|(key, value)| {
            let own = match (key, key.strip_prefix(TAG_PREFIX)) {
                (_, Some(tag)) => self.by_tag.get(tag, value),
                (CLIENT_KEY, _) => self.by_client.get(value).map(|of_client| {
                    if query.only_active {
                        &of_client.active
                    } else {
                        &of_client.all
                    }
                }),
                (EXPORTER_KEY, _) => self.by_exporter.get(value),
                (STATE_KEY, _) => return self.in_state(value, waiting),
                (ENDED_KEY, _) => return None,
                _ => self.by_label.get(key, value),
            };
            Some(Found::Names(own.unwrap_or(NOTHING)))
        });
        let of_tags = query.tag_filter.equalities();
        let of_tags = of_tags.map(|(key, value)| self.by_tag.get(key, value).unwrap_or(NOTHING));
        let active = query.only_active.then_some(Found::Active(&self.active));
        let sets = of_filter.chain(of_tags.map(Found::Names)).chain(active);
        sets.min_by_key(Found::len)
            .unwrap_or(Found::Names(&self.all))
    }

    fn in_state<'a>(&'a self, name: &str, waiting: &'a Names) -> Option<Found<'a>> {
        match LeaseState::named(name)? {
            LeaseState::Scheduled | LeaseState::Pending => Some(Found::Names(waiting)),
            LeaseState::Ready => Some(Found::Active(&self.active)),
            LeaseState::Ended => None,
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
            && self.active.is_empty()
            && self.by_client.is_empty()
            && self.by_exporter.is_empty()
            && self.by_label.is_empty()
            && self.by_tag.is_empty()
    }
}

fn is_active(lease: &Lease) -> bool {
    lease.ended.is_none()
}
