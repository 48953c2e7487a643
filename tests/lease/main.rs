//! The lease engine from outside: the selector grammar against vectors, the lease rules as written
//! scenarios, and a simulation that tries what nobody thought of. All of it on a fake clock.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail, and says what it has seen"
)]

mod model;
mod random;
mod rules;
mod scenarios;
mod script;
mod selectors;
mod simulation;
mod world;
