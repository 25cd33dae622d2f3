#!/usr/bin/env bash
# Every test, against real peers. Arguments go to `cargo test` (such as `-p lineside-tests --test e2e outage`).
set -euo pipefail
cd "$(dirname "$0")/.."
tests/setup.sh
# The end-to-end tests start the binary itself.
cargo build --locked -p lineside
if [ "$#" -gt 0 ]; then
  exec cargo test --locked "$@"
fi
# What the verifier's tests tamper with, the page's tests judge, too.
LINESIDE_TAMPERED=$(mktemp -d)
export LINESIDE_TAMPERED
trap 'rm -rf "$LINESIDE_TAMPERED"' EXIT
cargo test --locked --workspace --exclude lineside-tests
# Most of these wait for something most of the time: more of them at once than there are cores.
RUST_TEST_THREADS=6 cargo test --locked -p lineside-tests
