//! The life of one lease: scheduled or waiting, then held, then ended (sections H and J). Each step
//! is a function from the lease before to the lease after. Which exporter, and when to step, is
//! decided elsewhere.

use std::borrow::Cow;
use std::sync::Arc;

use super::record::{Condition, ConditionKind, Lease};
use super::time::{Duration, Timestamp};

/// Where a lease is in its life, at some moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LeaseState {
    /// Its begin is still to come.
    Scheduled,
    /// It waits for an exporter.
    Pending,
    /// It holds an exporter.
    Ready,
    /// It is over, or never can be served.
    Ended,
}

/// How a lease came to its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ending {
    /// Its time ran out, with an exporter or without one.
    Expired,
    /// Somebody gave it back, or gave it up.
    Released,
    /// It could never have been served.
    Refused,
}

/// Every reason that a condition is ever shown with.
pub const REASONS: [&str; 17] = [
    READY,
    RELEASED,
    EXPIRED,
    "AllDisabled",
    "ClientNotFound",
    "DurationExceeded",
    "ExporterDisabled",
    "ExporterNotFound",
    "InvalidSelector",
    "NoAccess",
    "NoMatch",
    "NotAvailable",
    "NotReady",
    "Offline",
    "Scheduled",
    "SelectorMismatch",
    "SpotAccess",
];

pub(super) const READY: &str = "Ready";
pub(super) const READY_MESSAGE: &str = "An exporter has been acquired for the client";
const RELEASED: &str = "Released";
const RELEASED_MESSAGE: &str = "The lease was marked for release";
const EXPIRED: &str = "Expired";
const EXPIRED_MESSAGE: &str = "The lease has expired";

impl LeaseState {
    /// The state that list filters write so.
    pub(super) fn named(name: &str) -> Option<Self> {
        let states = [Self::Scheduled, Self::Pending, Self::Ready, Self::Ended];
        states.into_iter().find(|state| state.name() == name)
    }

    /// As list filters write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Ended => "ended",
        }
    }
}

impl Lease {
    /// Where it is in its life at `now`, whether or not anybody has noticed yet.
    pub fn state(&self, now: Timestamp) -> LeaseState {
        if self.has_ended(now) {
            LeaseState::Ended
        } else if self.exporter.is_some() {
            LeaseState::Ready
        } else if self.begins_later() && self.due() > now {
            LeaseState::Scheduled
        } else {
            LeaseState::Pending
        }
    }

    /// When it ends if nobody releases it (rules J1-J3): its end, else its begin plus its
    /// duration, else its duration after an exporter is assigned. `None` for a lease that waits
    /// without a window: it waits for as long as it takes (rule H26).
    pub fn planned_end(&self) -> Option<Timestamp> {
        let begin = || self.begin.or(self.effective_begin);
        self.end
            .or_else(|| Some(begin()? + self.duration.unwrap_or_default()))
    }

    /// How it ended; none for one that has not.
    pub fn ending(&self) -> Option<Ending> {
        self.ended?;
        let ready = self.condition(ConditionKind::Ready);
        Some(match ready.map(|ready| ready.reason) {
            Some(RELEASED) => Ending::Released,
            Some(EXPIRED) => Ending::Expired,
            _ => Ending::Refused,
        })
    }

    /// How long it has held its exporter at `now`, or did (rule Q3). Never negative.
    pub fn held(&self, now: Timestamp) -> Option<Duration> {
        let begin = self.effective_begin?;
        Some((self.ended.unwrap_or(now) - begin).max(Duration::ZERO))
    }

    /// How long it lasts, for comparing with limits.
    pub(super) fn length(&self) -> Duration {
        self.duration.unwrap_or_default()
    }

    /// True if it has ended at `now` (rules J4, J5, H26).
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        self.ended.is_some() || self.planned_end().is_some_and(|end| end <= now)
    }

    /// Its place in time among the leases that wait for the same exporter: the later of its
    /// creation and its begin (rule I14).
    pub fn due(&self) -> Timestamp {
        self.begin
            .map_or(self.created, |begin| begin.max(self.created))
    }

    /// True if it was scheduled, when it was created, for later. All others are due whatever the
    /// clock has been set to since.
    pub(super) fn begins_later(&self) -> bool {
        self.due() > self.created
    }

    /// True if it has neither an exporter nor an end.
    pub(super) fn is_waiting(&self) -> bool {
        self.ended.is_none() && self.exporter.is_none()
    }

    /// True if `other`, the same lease at another time, would stand in the same place of the same
    /// line.
    pub(super) fn stands_like(&self, other: &Self) -> bool {
        self.due() == other.due() && self.client == other.client && self.length() == other.length()
    }

    /// The condition of this kind, if it was ever set.
    pub(super) fn condition(&self, kind: ConditionKind) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.kind == kind)
    }

    /// The lease as it is at `now`: ended at its planned end if that has passed.
    pub(super) fn at(&self, now: Timestamp) -> Cow<'_, Self> {
        match self.planned_end() {
            Some(end) if self.ended.is_none() && end <= now => Cow::Owned(self.expired(end)),
            _ => Cow::Borrowed(self),
        }
    }

    /// The lease once it was looked at and has to wait (rules H1, H2).
    pub(super) fn pending(&self, at: Timestamp) -> Self {
        let mut lease = self.clone();
        lease.set(ConditionKind::Pending, true, "", Cow::Borrowed(""), at);
        lease
    }

    /// The lease once it holds `exporter` (rules H22, H23).
    ///
    /// One that was given an end but no begin takes its duration from there.
    pub(super) fn granted(&self, exporter: Arc<str>, at: Timestamp) -> Self {
        let mut lease = self.clone();
        lease.exporter = Some(exporter);
        lease.effective_begin = Some(at);
        if let (Some(end), None) = (lease.end, lease.begin) {
            lease.duration = Some(end - at);
        }
        lease.no_longer_pending(at);
        lease.set(
            ConditionKind::Ready,
            true,
            READY,
            Cow::Borrowed(READY_MESSAGE),
            at,
        );
        lease
    }

    /// The lease once it was released (rules J8, J10, J11).
    pub(super) fn released(&self, at: Timestamp) -> Self {
        let mut lease = self.clone();
        lease.released = true;
        lease.generation += 1;
        if lease.ended.is_none() {
            lease.end_with(
                ConditionKind::Ready,
                false,
                RELEASED,
                RELEASED_MESSAGE.into(),
                at,
            );
        }
        lease
    }

    /// The lease once its time has run out (rules J5, H26).
    pub(super) fn expired(&self, at: Timestamp) -> Self {
        let mut lease = self.clone();
        lease.end_with(
            ConditionKind::Ready,
            false,
            EXPIRED,
            EXPIRED_MESSAGE.into(),
            at,
        );
        lease
    }

    /// The lease once it is known that it can never be served (rule H24).
    pub(super) fn refused(
        &self,
        kind: ConditionKind,
        reason: &'static str,
        message: String,
        at: Timestamp,
    ) -> Self {
        let mut lease = self.clone();
        lease.end_with(kind, true, reason, message.into(), at);
        lease
    }

    fn end_with(
        &mut self,
        kind: ConditionKind,
        status: bool,
        reason: &'static str,
        message: Cow<'static, str>,
        at: Timestamp,
    ) {
        self.ended = Some(at);
        self.no_longer_pending(at);
        self.set(kind, status, reason, message, at);
    }

    fn no_longer_pending(&mut self, at: Timestamp) {
        if self.condition(ConditionKind::Pending).is_some() {
            self.set(ConditionKind::Pending, false, "", Cow::Borrowed(""), at);
        }
    }

    /// Sets a condition: behind the others if it is new, and with a new time of transition only if
    /// its status flips (section H).
    fn set(
        &mut self,
        kind: ConditionKind,
        status: bool,
        reason: &'static str,
        message: Cow<'static, str>,
        at: Timestamp,
    ) {
        let mut condition = Condition {
            kind,
            status,
            reason,
            message,
            last_transition: at,
            observed_generation: self.generation,
        };
        match self
            .conditions
            .iter_mut()
            .find(|present| present.kind == kind)
        {
            Some(present) => {
                if present.status == status {
                    condition.last_transition = present.last_transition;
                }
                *present = condition;
            }
            None => {
                self.conditions.reserve_exact(1);
                self.conditions.push(condition);
            }
        }
    }
}

/// The reason that is written `text`, for reading a condition back.
pub fn known_reason(text: &str) -> Option<&'static str> {
    REASONS.into_iter().find(|reason| *reason == text)
}

/// A condition's message, shared where it is one of those that never vary.
pub fn known_message(text: String) -> Cow<'static, str> {
    let fixed = [READY_MESSAGE, RELEASED_MESSAGE, EXPIRED_MESSAGE];
    match fixed.into_iter().find(|message| *message == text) {
        Some(message) => Cow::Borrowed(message),
        None => Cow::Owned(text),
    }
}
