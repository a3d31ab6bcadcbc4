#!/usr/bin/env bash
# A quick look at what changed since main, committed or not; under a minute when warm. `make test` checks everything.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=1
started=$SECONDS

stage() {
    local name=$1 from=$SECONDS
    shift
    echo "== $name: $*"
    "$@"
    echo "== $name: $((SECONDS - from)) s"
}

changed() {
    git diff --name-only "$(git merge-base HEAD "${BASE:-main}" 2>/dev/null || echo HEAD)"
    git ls-files --others --exclude-standard
}

# The package of each changed file, by the nearest Cargo.toml above it.
packages() {
    changed | while read -r path; do
        local folder=$path
        while [ "$folder" != . ]; do
            folder=$(dirname "$folder")
            [ -f "$folder/Cargo.toml" ] && break
        done
        sed -n '/^\[package\]/,/^$/s/^name = "\(.*\)"/\1/p' "$folder/Cargo.toml"
    done | sort -u
}

page() {
    (cd broker/dashboard && npm run check && npm test)
}

stage format cargo fmt --all --check
stage lint cargo clippy --workspace --all-targets -- -D warnings
stage tidy cargo test --quiet -p merit-tidy
for package in $(packages); do
    case $package in
        merit-tidy | merit-fuzz-targets) ;;
        # End-to-end tests and seeded worlds take minutes: `make test`.
        merit | merit-sim) stage "tests of $package" cargo test --quiet -p "$package" --lib --bins ;;
        *) stage "tests of $package" cargo test --quiet -p "$package" ;;
    esac
done
if changed | grep -q '^broker/dashboard/' && [ -d broker/dashboard/node_modules ]; then
    stage page page
fi
echo "== all: $((SECONDS - started)) s"
