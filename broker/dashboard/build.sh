#!/usr/bin/env bash
# Builds the page into dist/, if its sources are newer. With --in-background it returns at once. Touches itself, so that the
# next build of the binary (src/build.rs) takes the page in.
set -euo pipefail
cd "$(dirname "$0")"

if [ -f dist/index.html ] && [ -z "$(find . -path ./node_modules -prune -o -path ./dist -prune -o -type f -newer dist/index.html -print -quit)" ]; then
    exit 0
fi
if ! command -v npm >/dev/null; then
    echo "The market page needs npm (Node.js 20 or later) to be built; the market runs without it." >&2
    [ "${1-}" = --in-background ] && exit 0
    exit 1
fi
build() {
    npm ci --no-audit --no-fund --loglevel=error && npm run build --silent && touch build.sh && touch dist/index.html
}
if [ "${1-}" = --in-background ]; then
    echo "Building the market page beside (broker/dashboard/build.log); reload the browser when it is done."
    build >build.log 2>&1 </dev/null &
else
    build
fi
