//! Sets of things that share a key and value. Knows nothing of what the things are.

use std::collections::BTreeMap;

use super::hash::Map;
use super::labels::Labels;
use super::selector::Selector;
use super::sorted::Sorted;

/// For every key and value, the things that have it, in order.
#[derive(Clone, Debug)]
pub(super) struct PairIndex<T> {
    /// Keys are few and values are many.
    keys: BTreeMap<Box<str>, Map<Box<str>, Sorted<T>>>,
}

impl<T> Default for PairIndex<T> {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
        }
    }
}

impl<T: Ord> PairIndex<T> {
    pub(super) fn insert(&mut self, key: &str, value: &str, item: T) {
        // Looked up before it is made: the pair is nearly always there already.
        if let Some(set) = self
            .keys
            .get_mut(key)
            .and_then(|values| values.get_mut(value))
        {
            set.insert(item);
            return;
        }
        let values = self.keys.entry(key.into()).or_default();
        values.entry(value.into()).or_default().insert(item);
    }

    pub(super) fn remove(&mut self, key: &str, value: &str, item: &T) {
        let Some(values) = self.keys.get_mut(key) else {
            return;
        };
        let Some(set) = values.get_mut(value) else {
            return;
        };
        set.remove(item);
        if set.is_empty() {
            values.remove(value);
            if values.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The things that have this value for this key; `None` if there are none.
    pub(super) fn get(&self, key: &str, value: &str) -> Option<&Sorted<T>> {
        self.keys.get(key)?.get(value)
    }

    /// The sets that an object with these labels belongs to.
    pub(super) fn sets_of<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = &'a Sorted<T>> {
        // From whichever side has less to walk.
        let few_labels = labels.len() < self.keys.len();
        let by_label = few_labels.then(|| labels.iter()).into_iter().flatten();
        let by_key = (!few_labels)
            .then(|| self.keys.iter())
            .into_iter()
            .flatten();
        by_label
            .filter_map(|(key, value)| self.get(key, value))
            .chain(by_key.filter_map(|(key, values)| values.get(labels.get(key)?)))
    }

    /// The smallest set that everything a selector can match belongs to; `None` if the selector
    /// asks for no certain value.
    pub(super) fn narrowest<'s>(&self, selector: &'s Selector) -> Option<Narrowest<'_, 's, T>> {
        selector
            .equalities()
            .map(|(key, value)| Narrowest {
                key,
                value,
                items: self.get(key, value),
            })
            .min_by_key(|narrowest| narrowest.items.map_or(0, Sorted::len))
    }
}

/// The pair of a selector that fewest things have, and those things.
pub(super) struct Narrowest<'i, 's, T> {
    pub(super) key: &'s str,
    pub(super) value: &'s str,
    /// `None`: nothing has it.
    pub(super) items: Option<&'i Sorted<T>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> PairIndex<u32> {
        let mut index = PairIndex::default();
        for (key, value, item) in [
            ("board", "a", 1),
            ("board", "a", 2),
            ("board", "b", 3),
            ("site", "x", 1),
        ] {
            index.insert(key, value, item);
        }
        index
    }

    #[test]
    fn the_narrowest_pair_is_the_one_that_fewest_have() {
        let index = index();
        let narrowest = |text: &str| {
            let selector = Selector::parse(text).unwrap();
            let found = index.narrowest(&selector);
            found.map(|found| (found.key.to_owned(), found.items.map_or(0, Sorted::len)))
        };
        assert_eq!(narrowest("board=a,site=x"), Some(("site".to_owned(), 1)));
        assert_eq!(
            narrowest("board in (b),site=x,site!=y"),
            Some(("board".to_owned(), 1))
        );
        assert_eq!(
            narrowest("board=a,site=nowhere"),
            Some(("site".to_owned(), 0))
        );
        assert_eq!(narrowest("board,site!=x,board in (a,b)"), None);
    }

    #[test]
    fn an_object_belongs_to_the_sets_of_its_labels() {
        let index = index();
        let sizes = |labels: &[(&str, &str)]| {
            let labels: Labels = labels.iter().copied().collect();
            index.sets_of(&labels).map(Sorted::len).collect::<Vec<_>>()
        };
        assert_eq!(
            sizes(&[("board", "a"), ("site", "x"), ("arch", "arm64")]),
            [2, 1]
        );
        assert_eq!(sizes(&[("board", "b")]), [1]);
        assert_eq!(sizes(&[("board", "c")]), [0; 0]);
    }

    #[test]
    fn nothing_is_left_of_what_was_removed() {
        let mut index = index();
        for (key, value, item) in [
            ("board", "a", 1),
            ("board", "a", 2),
            ("board", "b", 3),
            ("site", "x", 1),
        ] {
            index.remove(key, value, &item);
        }
        assert!(index.is_empty());
    }
}
