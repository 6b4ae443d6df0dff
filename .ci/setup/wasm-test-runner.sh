#!/usr/bin/env bash
# Puts wasm-bindgen's test runner into .tools/, in the version that Cargo.lock names (they must agree); does nothing if
# it is there. Built without optimisation: it is used for seconds.
set -euo pipefail
. "$(dirname "$0")/common.sh"

version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"$/\1/p}' Cargo.lock)
folder=.tools/wasm-bindgen-$version

if ! [ -x "$folder/bin/wasm-bindgen-test-runner" ]; then
  printf 'building wasm-bindgen-test-runner %s (once, one to two minutes)\n' "$version" >&2
  scratch=$(mktemp -d .tools/wasm-bindgen.XXXXXX)
  trap 'rm -rf "$scratch"' EXIT
  cargo install --quiet wasm-bindgen-cli --version "=$version" --bin wasm-bindgen-test-runner --debug \
    --root "$scratch/root" --target-dir "$scratch/target" >"$scratch/log" 2>&1 \
    || missing "wasm-bindgen-test-runner could not be built ($(tail -1 "$scratch/log")): cargo install wasm-bindgen-cli --version $version --root $folder"
  rm -rf "$folder"
  mv "$scratch/root" "$folder"
fi

have node || apt_install nodejs || true
have node || missing "node is missing, which runs the tests in WebAssembly: install Node.js 20 or later"
