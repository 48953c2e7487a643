//! What should hold, worked out from nothing but the records, by looking at everything.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jumpstarter_gateway::lease::{
    Book, Census, Client, ConditionKind, Duration, Exporter, ExporterStatus, Lease, LeaseQuery,
    LeaseState, Policy, Record, Timestamp,
};

use crate::world::{NAMESPACE, seconds};

pub struct Model {
    now: Timestamp,
    exporters: Vec<Arc<Exporter>>,
    clients: BTreeMap<Arc<str>, Arc<Client>>,
    policies: Vec<Arc<Policy>>,
    leases: BTreeMap<Arc<str>, Arc<Lease>>,
}

/// How a lease stands on one exporter: the highest priority first, then who is due first, then by
/// name. The smallest goes first.
type Standing<'a> = (Reverse<i64>, Timestamp, &'a str);

impl Model {
    pub fn of(book: &Book, now: Timestamp) -> Self {
        let (exporters, clients) = (Vec::new(), BTreeMap::new());
        let (policies, leases) = (Vec::new(), BTreeMap::new());
        let mut model = Self {
            now,
            exporters,
            clients,
            policies,
            leases,
        };
        for record in book.records() {
            match record {
                Record::Exporter(exporter) => model.exporters.push(exporter),
                Record::Client(client) => {
                    model.clients.insert(client.name.id.clone(), client);
                }
                Record::Policy(policy) => model.policies.push(policy),
                Record::Lease(lease) => {
                    model.leases.insert(lease.name.id.clone(), lease);
                }
            }
        }
        model
    }

    /// Everything is counted, and as what it is shown as.
    pub fn census_is_true(&self, book: &Book) {
        let found = book.census(self.now);
        let leases = |state| {
            self.leases
                .values()
                .filter(|lease| lease.state(self.now) == state)
                .count()
        };
        let (mut offline, mut leased, mut disabled, mut available, mut unready) = (0, 0, 0, 0, 0);
        for exporter in &self.exporters {
            let is_held = self
                .active()
                .any(|lease| lease.exporter.as_ref() == Some(&exporter.name.id));
            let view = book.view_exporter(self.now, exporter);
            *match (view.online, is_held, exporter.enabled, view.status) {
                (false, ..) => &mut offline,
                (true, true, ..) => &mut leased,
                (true, false, false, _) => &mut disabled,
                (.., ExporterStatus::Available | ExporterStatus::Unspecified)
                    if exporter.is_static || exporter.registered =>
                {
                    &mut available
                }
                _ => &mut unready,
            } += 1;
        }
        let expected = Census {
            scheduled: leases(LeaseState::Scheduled),
            pending: leases(LeaseState::Pending),
            ready: leases(LeaseState::Ready),
            ended: leases(LeaseState::Ended),
            offline,
            leased,
            disabled,
            available,
            unready,
        };
        assert_eq!(found, expected);
    }

    /// Rule I15.
    pub fn one_holder_each(&self) {
        let mut holders: BTreeMap<&str, &Lease> = BTreeMap::new();
        for lease in self.active() {
            if let Some(exporter) = &lease.exporter
                && let Some(other) = holders.insert(exporter, lease)
            {
                panic!("{exporter} is held twice:\n{lease:#?}\n{other:#?}");
            }
        }
    }

    /// Nobody who is due waits while an exporter is free that it could have.
    pub fn nobody_waits_for_nothing(&self) {
        for lease in self.due() {
            for exporter in &self.exporters {
                let could = self.priority(lease, exporter).is_some() && self.is_available(exporter);
                assert!(!could, "{} is free for\n{lease:#?}", exporter.name);
            }
        }
    }

    /// Rules J4, H26: whoever had to end has.
    pub fn nobody_has_outlived_its_end(&self) {
        for lease in self.active() {
            let end = planned_end(lease);
            assert!(end.is_none_or(|end| end > self.now), "{lease:#?}");
        }
    }

    /// Rules I10, I14, I16, for a lease that has just been given its exporter: nobody still waits
    /// who went before it there, and nothing is still free that would have been better for it.
    pub fn nobody_was_overtaken_by(&self, lease: &Lease) {
        let exporter = lease.exporter.as_ref().and_then(|id| self.exporter(id));
        let Some(exporter) = exporter else { return };
        let Some(own) = self.standing(lease, exporter) else {
            return;
        };
        for other in self.due() {
            let standing = self.standing(other, exporter);
            let is_overtaken = standing.is_some_and(|standing| standing < own);
            assert!(
                !is_overtaken,
                "on {}\n{lease:#?}\nhas overtaken\n{other:#?}",
                exporter.name
            );
        }
        let rank = |exporter: &Exporter| {
            Some((
                Reverse(self.priority(lease, exporter)?),
                exporter.name.id.clone(),
            ))
        };
        for other in self
            .exporters
            .iter()
            .filter(|other| self.is_available(other))
        {
            let is_better = rank(other).is_some_and(|theirs| Some(theirs) < rank(exporter));
            assert!(
                !is_better,
                "{} was better than {} for\n{lease:#?}",
                other.name, exporter.name
            );
        }
    }

    /// Section H: there are conditions, in order, and none contradicts the lease.
    pub fn conditions_are_sound(&self) {
        use ConditionKind::{Invalid, Pending, Ready, Unsatisfiable};
        for lease in self.leases.values() {
            let shown = |kind| {
                let of_kind = lease.conditions.iter().find(|one| one.kind == kind);
                of_kind.map(|one| one.status)
            };
            let is_hopeless = shown(Unsatisfiable) == Some(true) || shown(Invalid) == Some(true);
            let is_sound = match (lease.ended.is_some(), lease.exporter.is_some()) {
                (false, false) => shown(Pending) == Some(true) && lease.conditions.len() == 1,
                (false, true) => shown(Pending) != Some(true) && shown(Ready) == Some(true),
                (true, true) => shown(Pending) != Some(true) && shown(Ready) == Some(false),
                (true, false) => {
                    shown(Pending) != Some(true) && (is_hopeless != (shown(Ready) == Some(false)))
                }
            };
            let kinds: Vec<ConditionKind> = lease.conditions.iter().map(|one| one.kind).collect();
            assert!(is_sound && kinds.is_sorted(), "{lease:#?}");
            assert_eq!(
                lease.effective_begin.is_some(),
                lease.exporter.is_some(),
                "{lease:#?}"
            );
        }
    }

    /// Rule H17: a place in the queue is the number of those who go before, on some exporter that
    /// both could have.
    pub fn places_are_true(&self, book: &Book) {
        for lease in self.active() {
            let view = book.view_lease(self.now, lease);
            let ahead = self.is_due(lease).then(|| self.ahead(lease));
            assert_eq!(view.ahead, ahead, "ahead of\n{lease:#?}\n{view:#?}");
        }
    }

    /// Section N.
    pub fn lists_are_true(&self, book: &Book, query: &LeaseQuery) {
        let expected: Vec<&str> = self
            .leases
            .values()
            .filter(|lease| self.is_listed(lease, query))
            .map(|lease| &*lease.name.id)
            .collect();
        let mut found: Vec<&str> = Vec::new();
        loop {
            let page = book.leases(self.now, NAMESPACE, query, found.last().copied(), 3);
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|lease| &*lease.name.id));
        }
        assert_eq!(found, expected, "{query:?}");
    }

    fn is_listed(&self, lease: &Lease, query: &LeaseQuery) -> bool {
        let state = if lease.ended.is_some() {
            LeaseState::Ended
        } else if lease.exporter.is_some() {
            LeaseState::Ready
        } else if self.is_scheduled(lease) {
            LeaseState::Scheduled
        } else {
            LeaseState::Pending
        };
        let has_ended = state == LeaseState::Ended;
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        for part in lease.selector.to_string().split(',') {
            if let Some((key, value)) = part.split_once('=') {
                labels.insert(key.to_owned(), value.to_owned());
            }
        }
        for (key, value) in &lease.tags {
            labels.insert(format!("metadata.jumpstarter.dev/{key}"), value.to_owned());
        }
        let mut gateway = |key: &str, value: &str| {
            labels.insert(format!("gateway.jumpstarter.dev/{key}"), value.to_owned());
        };
        gateway("client", &lease.client);
        gateway("state", &format!("{state:?}").to_lowercase());
        if let Some(exporter) = &lease.exporter {
            gateway("exporter", exporter);
        }
        if has_ended {
            labels.insert("jumpstarter.dev/lease-ended".to_owned(), "true".to_owned());
        }
        let labels = labels.into_iter().collect();
        !(query.only_active && has_ended)
            && query.filter.matches(&labels)
            && query.tag_filter.matches(&lease.tags)
    }

    fn ahead(&self, lease: &Lease) -> usize {
        let goes_before = |other: &&Lease| {
            other.name != lease.name
                && self.exporters.iter().any(|exporter| {
                    match (
                        self.standing(other, exporter),
                        self.standing(lease, exporter),
                    ) {
                        (Some(theirs), Some(own)) => theirs < own,
                        _ => false,
                    }
                })
        };
        self.due().filter(goes_before).count()
    }

    fn active(&self) -> impl Iterator<Item = &Lease> {
        self.leases
            .values()
            .map(|lease| &**lease)
            .filter(|lease| lease.ended.is_none())
    }

    /// Those that wait and whose time has come.
    fn due(&self) -> impl Iterator<Item = &Lease> {
        self.active().filter(|lease| self.is_due(lease))
    }

    fn is_due(&self, lease: &Lease) -> bool {
        lease.exporter.is_none() && !self.is_scheduled(lease)
    }

    /// Its begin is to come, and was when it was created.
    fn is_scheduled(&self, lease: &Lease) -> bool {
        lease
            .begin
            .is_some_and(|begin| begin > self.now && begin > lease.created)
    }

    fn exporter(&self, id: &str) -> Option<&Exporter> {
        self.exporters
            .iter()
            .map(|exporter| &**exporter)
            .find(|one| *one.name.id == *id)
    }

    fn is_available(&self, exporter: &Exporter) -> bool {
        let is_held = self
            .active()
            .any(|lease| lease.exporter.as_ref() == Some(&exporter.name.id));
        let is_ready = matches!(
            exporter.status,
            ExporterStatus::Available | ExporterStatus::Unspecified
        );
        let is_heard = exporter
            .last_seen
            .is_some_and(|seen| self.now - seen <= seconds(60));
        !is_held && (exporter.is_static || exporter.registered && is_ready && is_heard)
    }

    fn standing<'a>(&self, lease: &'a Lease, exporter: &Exporter) -> Option<Standing<'a>> {
        let priority = self.priority(lease, exporter)?;
        Some((Reverse(priority), due(lease), &*lease.name.id))
    }

    /// The priority with which the lease could have the exporter, were it free and ready.
    fn priority(&self, lease: &Lease, exporter: &Exporter) -> Option<i64> {
        let named = lease.exporter_name.as_ref();
        let fits = named.is_none_or(|name| *name == exporter.name.id)
            && lease.selector.matches(&exporter.labels)
            && (exporter.enabled || named.is_some() && lease.allow_disabled);
        if !fits || self.policies.is_empty() {
            return fits.then_some(0);
        }
        let client = self.clients.get(&lease.client)?;
        let about = self
            .policies
            .iter()
            .filter(|one| one.exporters.matches(&exporter.labels));
        let rules = about.flat_map(|policy| &policy.rules).filter(|rule| {
            let length = lease.duration.unwrap_or_default();
            !rule.spot_access
                && rule.from.iter().any(|from| from.matches(&client.labels))
                && rule
                    .maximum_duration
                    .is_none_or(|maximum| length <= maximum)
        });
        rules.map(|rule| rule.priority).max()
    }
}

fn due(lease: &Lease) -> Timestamp {
    lease
        .begin
        .map_or(lease.created, |begin| begin.max(lease.created))
}

/// Rules J1-J3.
fn planned_end(lease: &Lease) -> Option<Timestamp> {
    let span = lease.duration.unwrap_or(Duration::from_seconds(0));
    match (lease.end, lease.begin, lease.effective_begin) {
        (Some(end), ..) => Some(end),
        (None, Some(begin), _) | (None, None, Some(begin)) => Some(begin + span),
        (None, None, None) => None,
    }
}
