#!/usr/bin/env bash
# run.sh [PROGRAM]
#
# Runs protobuf's conformance tests (proto3, JSON and binary, required and recommended) against
# the gateway's reader and writer: against the example `conformance-testee`, or PROGRAM. Fails when
# a test fails that failures.txt does not list, and when one passes that it lists.
set -euo pipefail
program=${1:+$(realpath "$1")}
cd "$(dirname "$0")/../.."

here=tests/conformance
target=${CARGO_TARGET_DIR:-target}
fetched=$target/conformance

if grep -n Json $here/failures.txt; then
    echo "failures.txt must not list JSON tests: mend the code" >&2
    exit 1
fi
$here/fetch.sh "$fetched"
if [ -z "$program" ]; then
    export CONFORMANCE_PROTOS=$fetched/protos
    cargo build --features conformance --example conformance-testee
    program=$target/debug/examples/conformance-testee
fi
log=$fetched/log
"$fetched/run" --enforce_recommended --failure_list $here/failures.txt --output_dir "$fetched" \
    "$program" 2>&1 | tee "$log"

# proto2, editions and text format: what the testee may pass over, counted for this runner.
grep -q ' 1303 skipped' "$log" || { echo "the testee skipped tests that it should take" >&2; exit 1; }
