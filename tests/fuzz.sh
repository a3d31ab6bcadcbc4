#!/usr/bin/env bash
# Fuzzes every target, or those named, for MERIT_FUZZ_SECONDS each (10), from the seeds and what earlier runs found.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo fuzz --version >/dev/null 2>&1 || ! cargo +nightly --version >/dev/null 2>&1; then
    echo "Fuzzing needs a nightly compiler and cargo-fuzz:" >&2
    echo "  rustup toolchain install nightly --profile minimal && cargo install cargo-fuzz --locked" >&2
    echo "Without them, \`cargo test -p merit-fuzz\` runs the same targets on mutations of the seeds." >&2
    exit 1
fi
# The same versions as everywhere; cargo adds libFuzzer's.
cp Cargo.lock fuzz/Cargo.lock
[ $# -gt 0 ] || set -- $(ls fuzz/seeds)
for target in "$@"; do
    mkdir -p "fuzz/corpus/$target"
    # Leaks are not sought: the runtimes of the modules live as long as the process.
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="${MERIT_FUZZ_SECONDS:-10}" -max_len=4096 -timeout=25 -detect_leaks=0
done
