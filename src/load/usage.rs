//! What one client, or one address that shows nobody, uses. Knows neither tokens nor requests.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tonic::Code;

use super::Bounds;
use crate::fault::Fault;

/// How many are told apart. All further ones together count as one.
const KNOWN: usize = 10_000;

/// So many tokens can be rotated at once, and one more each time this has passed: every rotation
/// leaves a line on disk for as long as the old token would have lasted.
const ROTATIONS: u32 = 10;
/// See [`ROTATIONS`].
const BETWEEN_ROTATIONS: Duration = Duration::from_secs(6 * 60);

/// What somebody uses at present.
#[derive(Debug)]
pub struct Usage {
    requests: Option<DefaultDirectRateLimiter>,
    rotations: Option<DefaultDirectRateLimiter>,
    waits: AtomicUsize,
    most_waits: usize,
}

impl Usage {
    fn new(bounds: Bounds) -> Self {
        let rate = NonZeroU32::new(bounds.requests_per_second);
        let rotations = Quota::with_period(BETWEEN_ROTATIONS).zip(NonZeroU32::new(ROTATIONS));
        Self {
            requests: rate.map(|rate| RateLimiter::direct(Quota::per_second(rate))),
            rotations: rotations.map(|(quota, most)| RateLimiter::direct(quota.allow_burst(most))),
            waits: AtomicUsize::new(0),
            most_waits: bounds.waits_per_client,
        }
    }

    /// A request has come.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: too many have.
    pub fn admit(&self) -> Result<(), Fault> {
        admit(self.requests.as_ref(), || {
            Fault::new(
                Code::ResourceExhausted,
                "TOO_MANY_REQUESTS",
                "you send requests faster than the server takes them from one client; slow down",
            )
        })
    }

    /// A token is to be rotated.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: too many were, shortly before.
    pub fn admit_rotation(&self) -> Result<(), Fault> {
        admit(self.rotations.as_ref(), || {
            Fault::new(
                Code::ResourceExhausted,
                "TOO_MANY_ROTATIONS",
                "your tokens were rotated too often within the last hour",
            )
        })
    }

    pub(super) fn begin_wait(&self) -> Result<(), Fault> {
        let before = self.waits.fetch_add(1, Ordering::Relaxed);
        if self.most_waits == 0 || before < self.most_waits {
            return Ok(());
        }
        self.end_wait();
        let message = format!(
            "you have {} waits and streams open, which is as many as one client may have; end some",
            self.most_waits
        );
        Err(Fault::new(Code::ResourceExhausted, "TOO_MANY_WAITS", message).with_retry(5))
    }

    pub(super) fn end_wait(&self) {
        self.waits.fetch_sub(1, Ordering::Relaxed);
    }
}

fn admit(
    limiter: Option<&DefaultDirectRateLimiter>,
    fault: impl FnOnce() -> Fault,
) -> Result<(), Fault> {
    let Some(too_soon) = limiter.and_then(|limiter| limiter.check().err()) else {
        return Ok(());
    };
    let wait = too_soon.wait_time_from(DefaultClock::default().now());
    let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
    Err(fault().with_retry(seconds.saturating_add(1)))
}

/// The usage of each of many, as far as anybody asks for it.
#[derive(Debug)]
pub struct Usages<K> {
    bounds: Bounds,
    known: Mutex<HashMap<K, Arc<Usage>>>,
    others: Arc<Usage>,
}

impl<K: Eq + Hash> Usages<K> {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            known: Mutex::default(),
            others: Arc::new(Usage::new(bounds)),
        }
    }

    /// The usage of one. Who has not been asked for lately may be forgotten, but nobody who is in
    /// use.
    pub fn of(&self, key: K) -> Arc<Usage> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = known.get(&key) {
            return usage.clone();
        }
        if known.len() >= KNOWN {
            known.retain(|_, usage| Arc::strong_count(usage) > 1);
        }
        if known.len() >= KNOWN {
            return self.others.clone();
        }
        let usage = Arc::new(Usage::new(self.bounds));
        known.insert(key, usage.clone());
        usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_too_often_is_told_when_to_come_back() {
        let hourly = Quota::with_period(Duration::from_secs(3600)).unwrap();
        let usage = Usage {
            requests: Some(RateLimiter::direct(
                hourly.allow_burst(NonZeroU32::new(2).unwrap()),
            )),
            ..Usage::new(Bounds::NONE)
        };
        assert!(usage.admit().is_ok() && usage.admit().is_ok());
        let fault = usage.admit().unwrap_err();
        assert_eq!(fault.reason(), "TOO_MANY_REQUESTS");
        let details = format!("{:?}", tonic::Status::from(fault));
        assert!(details.contains("slow down"), "{details}");
    }

    #[test]
    fn tokens_are_rotated_now_and_then_only() {
        let usage = Usage::new(Bounds::NONE);
        assert!((0..ROTATIONS).all(|_| usage.admit_rotation().is_ok()));
        let fault = usage.admit_rotation().unwrap_err();
        assert_eq!(fault.reason(), "TOO_MANY_ROTATIONS");
    }

    #[test]
    fn memory_has_a_bound_and_nobody_in_use_is_forgotten() {
        let usages = Usages::new(Bounds::NONE);
        let ada = usages.of(0);
        for key in 1..3 * KNOWN {
            usages.of(key);
        }
        assert!(usages.known.lock().unwrap().len() <= KNOWN);
        assert!(Arc::ptr_eq(&ada, &usages.of(0)));
        let held: Vec<_> = (0..KNOWN).map(|key| usages.of(key)).collect();
        assert!(Arc::ptr_eq(&usages.of(KNOWN + 1), &usages.of(KNOWN + 2)));
        drop(held);
        assert!(!Arc::ptr_eq(&usages.of(KNOWN + 1), &usages.of(KNOWN + 2)));
    }
}
