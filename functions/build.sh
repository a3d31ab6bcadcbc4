#!/bin/sh
# Compiles every sample function to WebAssembly: functions/build.sh [DIRECTORY]
# The default directory is the one of the sources, whose modules are committed.
set -eu
sources=$(cd "$(dirname "$0")" && pwd)
target=${1:-$sources}

for tool in clang wasm-ld; do
    if ! command -v "$tool" >/dev/null; then
        echo "$0: $tool is missing: install the packages clang and lld (see packages.txt)" >&2
        exit 1
    fi
done

mkdir -p "$target"
for source in "$sources"/*.c; do
    name=$(basename "$source" .c)
    clang --target=wasm32-wasi -std=c11 -O2 -Wall -Wextra -Werror -mbulk-memory -ffreestanding -nostdlib \
        -Wl,--strip-all -Wl,-z,stack-size=16384 -o "$target/$name.wasm" "$source"
done
