#!/usr/bin/env bash
# Licences, bans and sources of all dependencies by cargo-deny (deny.toml); advisories where the network is there.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo deny --version >/dev/null 2>&1; then
    echo "cargo-deny is missing: \`make deny\` installs it, which takes some minutes." >&2
    exit 1
fi
if timeout 20 git ls-remote --quiet https://github.com/rustsec/advisory-db HEAD >/dev/null 2>&1; then
    cargo deny --locked check
else
    echo "The list of advisories cannot be reached: they are not checked."
    cargo deny --locked --offline check bans licenses sources
fi
