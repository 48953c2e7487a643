//! A histogram that threads fill without waiting for each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many observations are below each bound, and their sum.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds, inclusive, in order; in the unit in which is observed.
    bounds: &'static [u64],
    /// One for each bound, and one for what is above all of them.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    /// How many of the observed unit make one of the shown.
    scale: f64,
}

const SECOND: u64 = 1_000_000;

/// From a tenth of a millisecond to ten seconds, in microseconds: answers, and commits to a disk.
const QUICK: &[u64] = &[
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    SECOND,
    5 * SECOND,
    10 * SECOND,
];

/// From a tenth of a second to a week, in microseconds: how long people wait for boards and keep them.
const SLOW: &[u64] = &[
    SECOND / 10,
    SECOND,
    5 * SECOND,
    15 * SECOND,
    60 * SECOND,
    300 * SECOND,
    900 * SECOND,
    1_800 * SECOND,
    3_600 * SECOND,
    4 * 3_600 * SECOND,
    12 * 3_600 * SECOND,
    24 * 3_600 * SECOND,
    168 * 3_600 * SECOND,
];

/// Powers of two up to what a commit may have.
const COUNTS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256];

impl Histogram {
    /// Of times within which machines do things; shown in seconds.
    pub fn quick() -> Self {
        Self::new(QUICK, 1e6)
    }

    /// Of times in which people reckon; shown in seconds.
    pub fn slow() -> Self {
        Self::new(SLOW, 1e6)
    }

    /// Of small numbers.
    pub fn counts() -> Self {
        Self::new(COUNTS, 1.0)
    }

    fn new(bounds: &'static [u64], scale: f64) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            scale,
        }
    }

    /// Takes in a duration.
    pub fn observe(&self, duration: Duration) {
        self.observe_number(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Takes in a number.
    pub fn observe_number(&self, number: u64) {
        let bucket = self.bounds.iter().position(|bound| number <= *bound);
        if let Some(count) = self.counts.get(bucket.unwrap_or(self.bounds.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(number, Ordering::Relaxed);
    }

    /// The sum and the number of all observations, and how many are in each bucket, with its bound.
    pub fn read(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / self.scale);
        let counts = self.counts.iter().map(|one| one.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        let total = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.sum.load(Ordering::Relaxed) as f64 / self.scale;
        (sum, total, buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::quick();
        for micros in [1, 100, 101, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let (sum, total, buckets) = histogram.read();
        assert_eq!(total, 5);
        assert!((sum - 20.000_203).abs() < 1e-9, "{sum}");
        let filled: Vec<_> = buckets
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(
            filled,
            [(0.0001, 2), (0.00025, 1), (10.0, 1), (f64::INFINITY, 1)]
        );
    }

    #[test]
    fn numbers_stay_what_they_are() {
        let histogram = Histogram::counts();
        histogram.observe_number(3);
        let (sum, total, buckets) = histogram.read();
        assert_eq!((sum, total), (3.0, 1));
        assert!(buckets.contains(&(4.0, 1)), "{buckets:?}");
    }
}
