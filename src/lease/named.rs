//! Records by name. Knows nothing of what they are.

use std::sync::Arc;

use super::hash::Map;
use super::sorted::Sorted;

/// Records that are found by name at once, and walked in the order of their names.
#[derive(Clone)]
pub(super) struct Named<T> {
    records: Map<Arc<str>, Arc<T>>,
    names: Sorted<Arc<str>>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self {
            records: Map::default(),
            names: Sorted::default(),
        }
    }
}

impl<T> Named<T> {
    pub(super) fn get(&self, id: &str) -> Option<&Arc<T>> {
        self.records.get(id)
    }

    /// Puts a record in the place of the one of the same name, which is returned.
    pub(super) fn put(&mut self, id: &Arc<str>, record: Arc<T>) -> Option<Arc<T>> {
        let old = self.records.insert(id.clone(), record);
        if old.is_none() {
            self.names.insert(id.clone());
        }
        old
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Arc<T>> {
        let old = self.records.remove(id)?;
        self.names.remove(id);
        Some(old)
    }

    /// All records, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.of(self.names.iter())
    }

    /// The records of these names, as far as there are such.
    pub(super) fn of<'a>(
        &'a self,
        names: impl Iterator<Item = &'a Arc<str>>,
    ) -> impl Iterator<Item = &'a Arc<T>> {
        names.filter_map(|id| self.records.get(id))
    }

    /// All names, in order.
    pub(super) fn names(&self) -> &Sorted<Arc<str>> {
        &self.names
    }
}
