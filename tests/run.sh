#!/usr/bin/env bash
# Every test, against real peers. Arguments go to `cargo test` (such as `-p lineside-tests --test e2e outage`).
set -euo pipefail
cd "$(dirname "$0")/.."
tests/setup.sh
# The end-to-end tests start the binary itself.
cargo build --locked -p lineside
if [ "$#" -eq 0 ]; then
  set -- --workspace
fi
exec cargo test --locked "$@"
