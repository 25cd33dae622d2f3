#!/bin/sh
# Looks for what the targets can't bear, guided by what is reached: libFuzzer, with a stable compiler.
#   tests/fuzz/coverage.sh TARGET [SECONDS]     fuzzes; findings and new inputs go below target/fuzz
#   tests/fuzz/coverage.sh seeds                writes the honest inputs that it begins with into the corpus
#   tests/fuzz/coverage.sh merge TARGET         takes what reaches more into the corpus, if it is small
# Needs a C++ compiler. The corpus that is kept lies in tests/fuzz/corpus/TARGET.
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
work=${FUZZ_DIR:-$root/target/fuzz}
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR="$work/build"
# Only the target is instrumented, since `--target` keeps these from build scripts and macros.
export RUSTFLAGS="-C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
 -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
 -C llvm-args=-sanitizer-coverage-trace-compares -C codegen-units=1"
cargo build --quiet --release --target "$host" --manifest-path coverage/Cargo.toml
fuzz="$work/build/$host/release/fuzz"

if [ "${1:-}" = seeds ]; then
    FUZZ_SEEDS=corpus exec "$fuzz"
fi
if [ "${1:-}" = merge ]; then
    target=$2
    export FUZZ_TARGET="$target"
    mkdir -p "corpus/$target" "$work/corpus/$target" "$work/small"
    # What is longer than this is found again.
    find "$work/corpus/$target" -type f -size -"${FUZZ_BYTES_MAX:-4096}"c -exec cp {} "$work/small/" \;
    "$fuzz" -merge=1 -rss_limit_mb=1024 "corpus/$target" "$work/small" 2>&1 | tail -3
    rm -r "$work/small"
    exit
fi

target=${1:?"a target is wanted"}
seconds=${2:-60}
export FUZZ_TARGET="$target"
mkdir -p "$work/corpus/$target" "$work/found/$target" "corpus/$target"
exec "$fuzz" -max_total_time="$seconds" -rss_limit_mb=512 -timeout=10 -max_len="${FUZZ_LEN:-16384}" \
    -use_value_profile=1 -print_final_stats=1 -artifact_prefix="$work/found/$target/" \
    -dict="$PWD/dictionary.txt" "$work/corpus/$target" "corpus/$target"
