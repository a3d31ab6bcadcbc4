#!/usr/bin/env bash
# Everything that can be checked, in the order in which it fails soonest, with the time of each stage.
set -euo pipefail
cd "$(dirname "$0")/.."
started=$SECONDS
# One profile for tests and lints: what one compiles, the other need not. See docs/benchmarks.md, "Building".
profile=${MERIT_TEST_PROFILE:-release}

stage() {
    local name=$1 from=$SECONDS
    shift
    echo "== $name"
    "$@"
    echo "== $name: $((SECONDS - from)) s"
}

page() {
    (cd broker/dashboard && npm ci --no-audit --no-fund --loglevel=error && npm run check && npm test && npm run build)
}

if ! command -v npm >/dev/null; then
    echo "The tests of the market page need npm: install Node.js 20 or later." >&2
    exit 1
fi
stage packages tests/prepare.sh
stage clients tests/clients.sh
stage format cargo fmt --all --check
# Minutes to install, so that it is no condition: `make deny` installs it.
if cargo deny --version >/dev/null 2>&1; then stage dependencies tests/deny.sh; fi
stage page page
stage build cargo test --profile "$profile" --workspace --no-run
stage lint cargo clippy --profile "$profile" --workspace --all-targets -- -D warnings
stage tests cargo test --profile "$profile" --workspace --no-fail-fast
echo "== all: $((SECONDS - started)) s"
