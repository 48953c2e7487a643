//! What a lease wants, what it may have, and which of the free exporters is the best for it. Knows
//! one lease at a time, and nothing of who else waits.

use std::sync::Arc;

use super::access::{Access, Policies};
use super::exporters::Exporters;
use super::record::{Client, Exporter, Lease};
use super::selector::Selector;
use super::time::{Duration, Timestamp};

/// What a lease wants, with what the policies say to it.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) wish: Wish,
    pub(super) access: Access,
}

/// What a lease wants, as far as exporters and policies can tell.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Wish {
    pub(super) selector: Arc<Selector>,
    pub(super) exporter_name: Option<Arc<str>>,
    allow_disabled: bool,
    /// Whose wish it is; nobody's in particular where there are no policies.
    client: Option<Arc<str>>,
    /// See [`Policies::band`].
    band: usize,
}

impl Claim {
    /// `client` is the lease's, if there is a record of it.
    pub(super) fn of(lease: &Lease, policies: &Policies, client: Option<&Client>) -> Self {
        let access = policies.access(client, lease.length());
        Self {
            wish: Wish::of(lease, policies),
            access,
        }
    }

    /// The priority with which `exporter` could be assigned; `None` if it cannot be.
    pub(super) fn priority(&self, exporter: &Exporter) -> Option<i64> {
        if !self.wish.tolerates(exporter) || !self.wish.matches(exporter) {
            return None;
        }
        self.access.priority(exporter)
    }

    /// The free exporter that is best at `now`, and its priority: the highest, then the first by
    /// name (rule I10). Those that turn out to be offline are not free any more.
    pub(super) fn best(
        &self,
        exporters: &mut Exporters,
        now: Timestamp,
        offline_after: Duration,
    ) -> Option<(Arc<str>, i64)> {
        if let Some(name) = &self.wish.exporter_name {
            let priority = self.priority(exporters.get(name)?)?;
            let is_available = exporters.is_available(name, now, offline_after);
            return is_available.then(|| (name.clone(), priority));
        }
        let ceiling = self.access.ceiling()?;
        let mut best: Option<(Arc<str>, i64)> = None;
        let mut lapsed = Vec::new();
        exporters.expect(&self.wish.selector);
        for exporter in exporters.free(&self.wish.selector) {
            if !exporter.is_online(now, offline_after) {
                lapsed.push(exporter.clone());
                continue;
            }
            let Some(priority) = self.priority(exporter) else {
                continue;
            };
            if best.as_ref().is_none_or(|(_, so_far)| priority > *so_far) {
                best = Some((exporter.name.id.clone(), priority));
                if priority >= ceiling {
                    break;
                }
            }
        }
        for exporter in lapsed {
            exporters.lapse(&exporter);
        }
        best
    }
}

impl Wish {
    fn of(lease: &Lease, policies: &Policies) -> Self {
        Self {
            selector: lease.selector.clone(),
            exporter_name: lease.exporter_name.clone(),
            allow_disabled: lease.allow_disabled && lease.exporter_name.is_some(),
            client: (!policies.is_empty()).then(|| lease.client.clone()),
            band: policies.band(lease.length()),
        }
    }

    /// True if nothing is asked for at all (rule H6).
    pub(super) fn is_empty(&self) -> bool {
        self.exporter_name.is_none() && self.selector.is_empty()
    }

    /// True if the exporter is what was asked for, enabled or not (rules H7, H8).
    pub(super) fn matches(&self, exporter: &Exporter) -> bool {
        let name = self.exporter_name.as_ref();
        !self.is_empty()
            && name.is_none_or(|name| *name == exporter.name.id)
            && self.selector.matches(&exporter.labels)
    }

    /// True if the exporter may be used in the state it is in (rules H9-H11).
    pub(super) fn tolerates(&self, exporter: &Exporter) -> bool {
        exporter.enabled || self.allow_disabled
    }
}
