//! What the HTTP benchmarks are made of: servers with a thread to themselves, and a load for them.

#![allow(dead_code, reason = "each benchmark uses its part of it")]

pub mod load;
pub mod server;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
