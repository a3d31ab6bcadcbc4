#!/usr/bin/env bash
# Installs the Debian packages that the tests need, listed in packages.txt: where it may, else it says which.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
while read -r package _; do
    case $package in ''|'#'*) continue ;; esac
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done < packages.txt
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${missing[@]}"
else
    echo "The tests need these Debian packages: ${missing[*]}" >&2
    echo "Install them, as root, with: apt-get install ${missing[*]}" >&2
    exit 1
fi
