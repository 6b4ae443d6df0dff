#!/usr/bin/env bash
# Puts the public test suite for HTTP caches into .tools/cache-tests, from npm, as tests/conformance/package-lock.json
# pins it; does nothing if that is there.
set -euo pipefail
. "$(dirname "$0")/common.sh"

pins=tests/conformance folder=.tools/cache-tests

have node || apt_install nodejs || true
have node || missing "node is missing, which runs the test suite for HTTP caches: install Node.js 18 or later"
cmp -s "$pins/package-lock.json" "$folder/package-lock.json" && exit 0
have npm || apt_install npm || true
have npm || missing "npm is missing, which fetches the test suite for HTTP caches: install it (Debian, Ubuntu: apt-get install npm)"

printf 'fetching the test suite for HTTP caches\n' >&2
scratch=$(mktemp -d .tools/cache-tests.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
cp "$pins/package.json" "$pins/package-lock.json" "$scratch/"
npm ci --prefix "$scratch" --ignore-scripts --no-audit --no-fund >"$scratch/log" 2>&1 \
  || missing "the test suite for HTTP caches could not be fetched from npm ($(tail -1 "$scratch/log"))"
rm -rf "$folder"
mv "$scratch" "$folder"
