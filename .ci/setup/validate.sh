#!/usr/bin/env bash
# Has Envoy check every configuration under envoy/, and docker-compose, where there is one, its file.
set -euo pipefail
. "$(dirname "$0")/common.sh"

: "${ENVOY:?run this through make validate}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

check() { # name, command…
  local name=$1
  shift
  if "$@" >"$log" 2>&1; then printf '%s: accepted\n' "$name"; else
    cat "$log" >&2
    missing "$name is not accepted"
  fi
}

for file in envoy/*.yaml; do
  check "$file" "$ENVOY" --mode validate --log-level warn --config-path "$file"
done

if have docker-compose; then
  check docker-compose.yml docker-compose --file docker-compose.yml config --quiet
elif have docker && docker compose version >/dev/null 2>&1; then
  check docker-compose.yml docker compose --file docker-compose.yml config --quiet
else
  echo 'docker-compose.yml: not checked, there is no docker-compose here'
fi
