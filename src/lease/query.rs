//! What lists are filtered by (section N). Knows leases one at a time, and nothing of indexes.

use super::life::LeaseState;
use super::record::Lease;
use super::selector::{Operator, Requirement, Selector};
use super::time::Timestamp;

/// The keys that a filter on leases knows beside the labels of a lease: whose it is, which exporter
/// it has, and where it is in its life.
pub const CLIENT_KEY: &str = "gateway.jumpstarter.dev/client";
/// See [`CLIENT_KEY`].
pub const EXPORTER_KEY: &str = "gateway.jumpstarter.dev/exporter";
/// See [`CLIENT_KEY`].
pub const STATE_KEY: &str = "gateway.jumpstarter.dev/state";

/// The label that an ended lease has, with the value `true` (rules F13, J15).
pub(super) const ENDED_KEY: &str = "jumpstarter.dev/lease-ended";

/// What a lease's tags begin with among its labels (rule D12). A selector's labels that begin so
/// are no labels of the lease (rule F11).
pub(super) const TAG_PREFIX: &str = "metadata.jumpstarter.dev/";

/// Which leases of a namespace to list.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LeaseQuery {
    pub filter: Selector,
    /// On tags; keys without their prefix (rules N9-N12).
    pub tag_filter: Selector,
    /// Leave out ended leases (rules N3, N4).
    pub only_active: bool,
}

impl LeaseQuery {
    /// True if a lease is one of those asked for, as it is at `now` (rule N6).
    pub(super) fn accepts(&self, now: Timestamp, lease: &Lease) -> bool {
        if self.only_active && lease.has_ended(now) {
            return false;
        }
        if self.filter.is_empty() && self.tag_filter.is_empty() {
            return true;
        }
        let state = lease.state(now);
        let value_of = |key: &str| match (key, key.strip_prefix(TAG_PREFIX)) {
            (_, Some(tag)) => lease.tags.get(tag),
            (CLIENT_KEY, _) => Some(&*lease.client),
            (EXPORTER_KEY, _) => lease.exporter.as_deref(),
            (STATE_KEY, _) => Some(state.name()),
            (ENDED_KEY, _) => (state == LeaseState::Ended).then_some("true"),
            _ => own_labels(lease)
                .find(|(label, _)| *label == key)
                .map(|(_, value)| value),
        };
        self.filter
            .requirements()
            .iter()
            .all(|one| one.accepts(value_of(one.key())))
            && self.tag_filter.matches(&lease.tags)
    }
}

/// The labels that a lease has from its selector (rule F11).
pub(super) fn own_labels(lease: &Lease) -> impl Iterator<Item = (&str, &str)> {
    let is_own = |key: &str| {
        !key.starts_with(TAG_PREFIX) && !matches!(key, CLIENT_KEY | EXPORTER_KEY | STATE_KEY)
    };
    let requirements = lease.selector.requirements().iter();
    let equal = requirements.filter(|one| one.operator() == Operator::Equals);
    equal
        .filter_map(Requirement::equality)
        .filter(move |(key, _)| is_own(key))
}
