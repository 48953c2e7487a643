//! The gateway over real HTTP: one binary for all of it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

mod harness;
#[path = "../support/log.rs"]
mod log;
mod program;
#[path = "../support/signal.rs"]
mod signal;

mod agreement;
mod audit;
mod binding;
mod grpc;
mod layers;
mod leases;
mod library;
mod limits;
mod metrics;
mod names;
mod oidc;
mod refusals;
mod reload;
mod shapes;
mod tls;
mod tokens;
#[cfg(feature = "otlp")]
mod traces;
mod transcoding;
mod values;
mod waiting;
mod watching;

/// What the build generated for the test services.
mod generated {
    #![allow(
        clippy::all,
        clippy::pedantic,
        reason = "generated code is not ours to polish"
    )]
    include!(concat!(env!("OUT_DIR"), "/tests/mod.rs"));
}
