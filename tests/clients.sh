#!/usr/bin/env bash
# Installs the published clients of the tests, from PyPI and npm, into target/clients; quick if they are installed.
set -euo pipefail
cd "$(dirname "$0")/.."
into=target/clients
mkdir -p "$into"
wanted=$(cat tests/clients/requirements.txt tests/clients/package-lock.json | sha256sum)
[ "$(cat "$into/installed" 2>/dev/null)" = "$wanted" ] && exit 0
rm -rf "$into/python" "$into/js"
python3 -m venv "$into/python"
"$into/python/bin/pip" install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
mkdir -p "$into/js"
cp tests/clients/package.json tests/clients/package-lock.json "$into/js/"
(cd "$into/js" && npm ci --no-audit --no-fund --loglevel=error)
echo "$wanted" > "$into/installed"
