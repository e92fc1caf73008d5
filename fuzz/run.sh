#!/bin/sh
# Builds the target with the stable compiler and coverage counters, and runs it with the given arguments of libFuzzer.
set -eu
cd "$(dirname "$0")"
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
# With --target the flags are for the target alone, not for build scripts.
host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --release --target "$host"
mkdir -p corpus/read artifacts
exec "target/$host/release/read" -artifact_prefix=artifacts/ "$@" corpus/read
