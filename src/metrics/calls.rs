//! Calls over HTTP and gRPC, by route. Whoever counts knows a route by its number.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Counter;
use super::histogram::Histogram;

/// HTTP statuses are from 100 to 599, codes of gRPC from 0 to 16.
const STATUSES: usize = 500;
const CODES: usize = 17;

/// Calls by route.
#[derive(Debug)]
pub struct Calls {
    routes: Box<[Series]>,
    /// How many of the routes are HTTP; those after them are rpcs.
    http: usize,
    in_flight: AtomicI64,
    refused: Mutex<BTreeMap<String, u64>>,
}

#[derive(Debug)]
pub(super) struct Series {
    /// Method and route, or service and method.
    pub(super) names: (&'static str, &'static str),
    outcomes: Box<[Counter]>,
    pub(super) duration: Histogram,
}

impl Calls {
    /// Routes over HTTP, each a method and a template, have the numbers from 0; rpcs over gRPC, each a
    /// service and a method, follow them.
    pub fn new(
        http: impl IntoIterator<Item = (&'static str, &'static str)>,
        rpcs: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Self {
        let series = |outcomes: usize| {
            move |names| Series {
                names,
                outcomes: (0..outcomes).map(|_| Counter::default()).collect(),
                duration: Histogram::quick(),
            }
        };
        let mut routes: Vec<Series> = http.into_iter().map(series(STATUSES)).collect();
        let http = routes.len();
        routes.extend(rpcs.into_iter().map(series(CODES)));
        Self {
            routes: routes.into(),
            http,
            in_flight: AtomicI64::new(0),
            refused: Mutex::default(),
        }
    }

    /// One more call is under way.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// It is not under way any more.
    pub fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// A call over HTTP or gRPC has been answered, with this status or code. The time it took counts
    /// where it is given.
    pub fn answered(&self, route: usize, outcome: usize, took: Option<Duration>) {
        let Some(series) = self.routes.get(route) else {
            return;
        };
        let outcome = if route < self.http {
            outcome.wrapping_sub(100)
        } else {
            outcome
        };
        if let Some(counter) = series.outcomes.get(outcome) {
            counter.add(1);
        }
        if let Some(took) = took {
            series.duration.observe(took);
        }
    }

    /// Somebody was not let in, for one of the reasons that the API has names for.
    pub fn refused(&self, reason: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.get_mut(reason) {
            Some(count) => *count += 1,
            None => drop(refused.insert(reason.to_owned(), 1)),
        }
    }

    pub(super) fn http(&self) -> impl Iterator<Item = &Series> {
        self.routes.iter().take(self.http)
    }

    pub(super) fn rpcs(&self) -> impl Iterator<Item = &Series> {
        self.routes.iter().skip(self.http)
    }

    pub(super) fn in_flight(&self) -> i64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn refusals(&self) -> BTreeMap<String, u64> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.clone()
    }
}

impl Series {
    /// Every outcome that there was, and how often: a status, or a code.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (usize, u64)> {
        let first = if self.outcomes.len() == STATUSES {
            100
        } else {
            0
        };
        let counts = self.outcomes.iter().map(Counter::read);
        let counts = counts.enumerate().filter(|(_, count)| *count > 0);
        counts.map(move |(index, count)| (first + index, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_counts_where_it_belongs() {
        let calls = Calls::new([("GET", "/a")], [("library.v1.Library", "Get")]);
        calls.answered(0, 200, Some(Duration::from_millis(1)));
        calls.answered(0, 599, None);
        calls.answered(1, 5, None);
        for (route, outcome) in [(0, 99), (0, 600), (1, 17), (2, 200)] {
            calls.answered(route, outcome, None);
        }
        let outcomes = |series: &Series| series.outcomes().collect::<Vec<_>>();
        assert_eq!(
            calls.http().map(outcomes).collect::<Vec<_>>(),
            [[(200, 1), (599, 1)]]
        );
        assert_eq!(calls.rpcs().map(outcomes).collect::<Vec<_>>(), [[(5, 1)]]);
        calls.begin();
        assert_eq!(calls.in_flight(), 1);
        calls.end();
        assert_eq!(calls.in_flight(), 0);
    }
}
