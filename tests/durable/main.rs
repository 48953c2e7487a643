//! What `serve --data` promises, held against what can happen to a process, its disk and its files:
//! killed at any instant, power gone, disk full, files damaged, a second process.
//!
//! `DURABLE_KILLS` and `DURABLE_CRASHES` set how often; `DURABLE_SEED` repeats a run that failed.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail, and says then what it did"
)]

mod archive;
mod counts;
mod damage;
mod disk;
mod failures;
mod forms;
mod kill;
mod power;
mod server;
#[path = "../support/signal.rs"]
mod signal;

/// A number that the environment sets.
fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text}: a number is wanted")),
        Err(_) => default,
    }
}

/// Numbers as if by chance, the same for the same seed (xorshift64).
struct Random(u64);

impl Random {
    /// Says the seed where the test fails.
    fn new() -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let seed = setting("DURABLE_SEED", u64::try_from(now).unwrap());
        println!("DURABLE_SEED={seed} repeats this");
        Self(seed.max(1))
    }

    /// 0 to `below` - 1.
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}
