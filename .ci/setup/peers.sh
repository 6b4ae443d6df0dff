#!/usr/bin/env bash
# Makes sure that there are nginx and varnishd, which make bench-waves compares with: the system's, else those of Debian's
# packages, unpacked into .tools/peers. Unpacked and not installed, since installed they would be services, started now
# and at each boot.
set -euo pipefail
. "$(dirname "$0")/common.sh"

folder=.tools/peers
PATH=$PATH:/usr/sbin
have nginx && have varnishd && exit 0
[ -x "$folder/nginx" ] && [ -x "$folder/varnishd" ] && exit 0

wanted='install nginx and Varnish, without leaving them running'
have apt-get && have dpkg-deb || missing "nginx or varnishd is missing: $wanted"
scratch=$(mktemp -d .tools/peers.XXXXXX)
trap 'rm -rf "$scratch"' EXIT

# Those of the packages and of what they need that the system has not.
download() {
  apt-get -q install -y --no-install-recommends --reinstall --download-only \
    -o Dir::Cache::archives="$PWD/$scratch/" -o Debug::NoLocking=1 nginx varnish >"$scratch/log" 2>&1
}
printf 'fetching nginx and Varnish\n' >&2
mkdir "$scratch/partial"
download || { apt_install && download; } \
  || missing "nginx and Varnish could not be fetched ($(tail -1 "$scratch/log")); $wanted"

mkdir "$scratch/tree"
for package in "$scratch"/*.deb; do dpkg-deb -x "$package" "$scratch/tree"; done
for name in nginx varnishd; do
  cat >"$scratch/tree/$name" <<'END_OF_WRAPPER'
#!/bin/sh
tree=$(dirname "$0")
for folder in "$tree"/usr/lib/*-linux-gnu; do export LD_LIBRARY_PATH="$folder"; done
exec "$tree/usr/sbin/$(basename "$0")" "$@"
END_OF_WRAPPER
  chmod +x "$scratch/tree/$name"
done
rm -rf "$folder"
mv "$scratch/tree" "$folder"
