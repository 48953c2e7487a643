//! What is counted, and how it is shown to Prometheus. Counters are plain atomics that are found by an
//! index, so that a request pays for two additions; what can be looked up is looked up when somebody
//! asks. No label ever holds a name that a user has chosen: not of a client, a lease, an exporter or a
//! namespace. Knows nothing of HTTP beyond numbers, and of the store what it says of commits.

mod calls;
mod histogram;
mod leases;
mod page;
mod process;
mod text;
mod writer;

use std::sync::atomic::{AtomicU64, Ordering};

pub use calls::Calls;
pub use leases::Leases;
pub use page::Present;
pub use text::Form;

use histogram::Histogram;

/// Everything that is counted, from the start of the process on.
#[derive(Debug)]
pub struct Metrics {
    pub calls: Calls,
    pub leases: Leases,
    pub commits: Commits,
    pub audit: Lines,
}

/// What the writer did.
#[derive(Debug)]
pub struct Commits {
    duration: Histogram,
    commands: Histogram,
    outcomes: [Counter; 4],
}

/// What came of handing changes to the engine, as labels show it.
const OUTCOMES: [&str; 4] = ["committed", "conflict", "failed", "unknown"];

/// Lines of the audit log.
#[derive(Debug, Default)]
pub struct Lines {
    pub written: Counter,
    pub lost: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// Nothing is counted yet. See [`Calls::new`].
    pub fn new(
        http: impl IntoIterator<Item = (&'static str, &'static str)>,
        rpcs: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Self {
        Self {
            calls: Calls::new(http, rpcs),
            leases: Leases::default(),
            commits: Commits {
                duration: Histogram::quick(),
                commands: Histogram::counts(),
                outcomes: Default::default(),
            },
            audit: Lines::default(),
        }
    }
}

impl Commits {
    /// Changes that these many commands had asked for were handed to the engine.
    pub fn attempted(&self, attempt: &crate::store::Attempt) {
        use crate::store::Outcome::{Committed, Conflict, Failed, Unknown};
        self.duration.observe(attempt.took);
        self.commands.observe_number(attempt.commands as u64);
        let index = match attempt.outcome {
            Committed => 0,
            Conflict => 1,
            Failed => 2,
            Unknown => 3,
        };
        self.outcomes[index].add(1);
    }
}
