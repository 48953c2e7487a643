//! How many leases and exporters there are, of each kind. Leases are counted by the indexes over them,
//! so that a million of them that have ended or are held cost no more than one; exporters are looked at, as whether one is online
//! depends on the moment.

use super::book::Book;
use super::record::Exporter;
use super::time::Timestamp;

/// A count of what a book has at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// Leases, by [`super::LeaseState`].
    pub scheduled: usize,
    pub pending: usize,
    pub ready: usize,
    pub ended: usize,
    /// Exporters, each counted once: as the first of these that it is.
    pub offline: usize,
    pub leased: usize,
    pub disabled: usize,
    /// It can be assigned.
    pub available: usize,
    /// Online and free, and not registered, busy with something else or out of order.
    pub unready: usize,
}

impl Book {
    /// Counts everything, as it was when it was last settled.
    pub fn census(&self, now: Timestamp) -> Census {
        let mut census = Census::default();
        for namespace in self.namespaces() {
            let [all, active, waiting, scheduled] = namespace.leases.counts(now);
            census.scheduled += scheduled;
            census.pending += waiting - scheduled;
            census.ready += active - waiting;
            census.ended += all - active;
            for exporter in namespace.exporters.iter() {
                let is_held = namespace.exporters.holder(&exporter.name.id).is_some();
                census.count(exporter, is_held, self, now);
            }
        }
        census
    }
}

impl Census {
    fn count(&mut self, exporter: &Exporter, is_held: bool, book: &Book, now: Timestamp) {
        let offline_after = book.settings().offline_after;
        let count = if !exporter.is_reachable(now, offline_after) {
            &mut self.offline
        } else if is_held {
            &mut self.leased
        } else if !exporter.enabled {
            &mut self.disabled
        } else if exporter.is_ready(now, offline_after) {
            &mut self.available
        } else {
            &mut self.unready
        };
        *count += 1;
    }
}
