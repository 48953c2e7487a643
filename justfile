# What is done often. `just` alone lists it; nothing here is needed to build or test.

[private]
default:
    @just --list

# Serve the demonstration lab on http://127.0.0.1:8082
run *arguments='--demo':
    cargo run -- serve {{ arguments }}

# Run all tests, or those whose names contain FILTER
test *filter:
    cargo test {{ filter }}

# Look at code and form without running anything
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Rewrite the files that tests compare with, for a review to look at
golden:
    UPDATE_GOLDEN=1 cargo test

# Measure HTTP against the floor, what a call costs inside, and what it costs to keep leases
bench:
    cargo bench --bench http
    cargo bench --bench transcode
    cargo bench --bench durable

# Build the documentation of the code, and open it
docs:
    cargo doc --no-deps --open

# Look at crates for licences, sources, known faults (needs cargo-deny)
deny:
    cargo deny check

# Run what CI runs
ci:
    .ci/run
