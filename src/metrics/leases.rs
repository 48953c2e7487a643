//! What happens to leases, counted from commits: each once, as each is published once. What was there
//! before the process began is not counted.

use std::time::Duration;

use super::Counter;
use super::histogram::Histogram;
use crate::lease::{self, ConditionKind, Ending, Lease};
use crate::store::Commit;

/// How leases end, as labels show it.
pub(super) const ENDINGS: [(&str, Ending); 3] = [
    ("expired", Ending::Expired),
    ("released", Ending::Released),
    ("refused", Ending::Refused),
];

/// Leases as they come and go.
#[derive(Debug)]
pub struct Leases {
    pub(super) created: Counter,
    pub(super) acquired: Counter,
    pub(super) failed: Counter,
    pub(super) ended: [Counter; ENDINGS.len()],
    /// From when a lease wanted an exporter to when it had one.
    pub(super) waited: Histogram,
    /// From when it had one to when it gave it back.
    pub(super) held: Histogram,
}

impl Default for Leases {
    fn default() -> Self {
        Self {
            created: Counter::default(),
            acquired: Counter::default(),
            failed: Counter::default(),
            ended: Default::default(),
            waited: Histogram::slow(),
            held: Histogram::slow(),
        }
    }
}

impl Leases {
    /// Counts what a commit did.
    pub fn committed(&self, commit: &Commit) {
        for effect in &commit.leases {
            if let Some(after) = &effect.after {
                self.changed(effect.before.as_deref(), after);
            }
        }
    }

    fn changed(&self, before: Option<&Lease>, after: &Lease) {
        if before.is_none() {
            self.created.add(1);
        }
        let is_new = before.is_none_or(|before| before.exporter.is_none());
        if let (true, Some(begin)) = (is_new && after.exporter.is_some(), after.effective_begin) {
            self.acquired.add(1);
            self.waited.observe(span(begin - after.due()));
        }
        let Some(ended) = after
            .ended
            .filter(|_| before.is_none_or(|it| it.ended.is_none()))
        else {
            return;
        };
        // Rule H34: a lease that asks for nothing counts neither as acquired nor as failed.
        let is_hopeless = |one: &lease::Condition| one.kind == ConditionKind::Unsatisfiable;
        if after.conditions.iter().any(is_hopeless) {
            self.failed.add(1);
        }
        if let Some(held) = after.held(ended) {
            self.held.observe(span(held));
        }
        let ending = after.ending();
        let index = ENDINGS.iter().position(|(_, one)| Some(*one) == ending);
        if let Some(counter) = index.and_then(|index| self.ended.get(index)) {
            counter.add(1);
        }
    }
}

/// Never negative: clocks are set back.
fn span(duration: lease::Duration) -> Duration {
    let seconds = u64::try_from(duration.seconds()).unwrap_or(0);
    Duration::new(seconds, u32::try_from(duration.nanos()).unwrap_or(0))
}
