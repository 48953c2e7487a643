//! Access policies: which exporters a client may lease, in which order of preference, and why not
//! (section I). Knows policies, clients and labels; nothing of who holds what.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::{Client, Exporter, Policy, PolicyRule};
use super::time::Duration;

/// The policies of one namespace.
#[derive(Clone, Default)]
pub(super) struct Policies {
    by_name: BTreeMap<Arc<str>, Arc<Policy>>,
    /// The maximum durations that appear in them, sorted.
    limits: Vec<Duration>,
}

/// What the policies say about one client and one length of lease.
#[derive(Clone, Debug)]
pub(super) enum Access {
    /// There is no policy: everybody may have everything (rule I1).
    Everything,
    /// There are policies, and the client they would have to know is gone (rules I2, H31).
    ClientUnknown,
    /// Best first: what is not spot access, then by priority (rule I10).
    Approvals(Vec<Approval>),
}

/// A policy's word that a client may lease the exporters it speaks of.
#[derive(Clone, Debug)]
pub(super) struct Approval {
    policy: Arc<Policy>,
    standing: Standing,
}

/// How a client stands with one exporter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    pub(super) priority: i64,
    pub(super) spot: bool,
}

impl Policies {
    pub(super) fn put(&mut self, policy: Arc<Policy>) {
        self.by_name.insert(policy.name.id.clone(), policy);
        self.collect_limits();
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.by_name.remove(id);
        self.collect_limits();
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<Policy>> {
        self.by_name.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.by_name.values()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Tells lengths of lease apart as far as the policies do: leases of one band are over the
    /// same limits.
    pub(super) fn band(&self, length: Duration) -> usize {
        self.limits.partition_point(|limit| *limit < length)
    }

    /// What `client` may have for `length`. `None` is a client that has no record.
    pub(super) fn access(&self, client: Option<&Client>, length: Duration) -> Access {
        if self.is_empty() {
            return Access::Everything;
        }
        let Some(client) = client else {
            return Access::ClientUnknown;
        };
        let mut approvals: Vec<Approval> = Vec::new();
        for policy in self.by_name.values() {
            for rule in &policy.rules {
                if lets_in(rule, client) && !is_over(rule, length) {
                    let standing = Standing {
                        priority: rule.priority,
                        spot: rule.spot_access,
                    };
                    approvals.push(Approval {
                        policy: policy.clone(),
                        standing,
                    });
                }
            }
        }
        approvals
            .sort_by_key(|Approval { standing, .. }| (standing.spot, Reverse(standing.priority)));
        Access::Approvals(approvals)
    }

    /// The longest lease of `exporter` that the policies would approve for `client`, where there
    /// is such a limit (rules I6, I7).
    pub(super) fn limit(&self, client: &Client, exporter: &Exporter) -> Option<Duration> {
        self.rules_for(exporter)
            .filter(|rule| lets_in(rule, client))
            .filter_map(|rule| rule.maximum_duration)
            .max()
    }

    /// What the rules that speak of `exporter` but do not let `client` in say of themselves (rule
    /// I8).
    pub(super) fn descriptions<'a>(
        &'a self,
        client: &'a Client,
        exporter: &'a Exporter,
    ) -> impl Iterator<Item = &'a str> {
        self.rules_for(exporter)
            .filter(|rule| !rule.description.is_empty() && !lets_in(rule, client))
            .map(|rule| rule.description.as_str())
    }

    fn rules_for(&self, exporter: &Exporter) -> impl Iterator<Item = &PolicyRule> {
        self.by_name
            .values()
            .filter(|policy| policy.exporters.matches(&exporter.labels))
            .flat_map(|policy| &policy.rules)
    }

    fn collect_limits(&mut self) {
        let rules = self.by_name.values().flat_map(|policy| &policy.rules);
        self.limits = rules.filter_map(|rule| rule.maximum_duration).collect();
        self.limits.sort_unstable();
        self.limits.dedup();
    }
}

impl Access {
    /// The best approval of `exporter` (rule I12), or `None` if there is none.
    pub(super) fn approval(&self, exporter: &Exporter) -> Option<Standing> {
        match self {
            Self::Everything => Some(Standing {
                priority: 0,
                spot: false,
            }),
            Self::ClientUnknown => None,
            Self::Approvals(approvals) => approvals
                .iter()
                .find(|approval| approval.policy.exporters.matches(&exporter.labels))
                .map(|approval| approval.standing),
        }
    }

    /// The priority with which `exporter` may be assigned: spot access is none (rule H15).
    pub(super) fn priority(&self, exporter: &Exporter) -> Option<i64> {
        self.approval(exporter)
            .filter(|standing| !standing.spot)
            .map(|standing| standing.priority)
    }

    /// No exporter can be assigned with a higher priority than this; `None` if none can at all.
    pub(super) fn ceiling(&self) -> Option<i64> {
        match self {
            Self::Everything => Some(0),
            Self::ClientUnknown => None,
            Self::Approvals(approvals) => {
                let best = approvals.first()?.standing;
                (!best.spot).then_some(best.priority)
            }
        }
    }
}

/// Rules I3-I5.
fn lets_in(rule: &PolicyRule, client: &Client) -> bool {
    rule.from.iter().any(|from| from.matches(&client.labels))
}

/// Rule I6: exactly the maximum is still allowed.
fn is_over(rule: &PolicyRule, length: Duration) -> bool {
    rule.maximum_duration
        .is_some_and(|maximum| length > maximum)
}
