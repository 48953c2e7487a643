//! Running the program as an operator does: under systemd, with settings and a lab that change, checked
//! before it starts, and stopped in good order. And the files under `deploy/`, held against the program.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail, and says then what it did"
)]

mod checked;
mod deployed;
mod lab;
#[path = "../support/log.rs"]
mod log;
mod program;
mod settings;
#[path = "../support/signal.rs"]
mod signal;
mod stopped;
mod supervised;
