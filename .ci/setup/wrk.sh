#!/usr/bin/env bash
# Makes sure that there is wrk, the load generator of make bench: the system's, else Debian's package.
set -euo pipefail
. "$(dirname "$0")/common.sh"

have wrk && exit 0
apt_install wrk && have wrk && exit 0
missing "wrk is missing: install it (Debian, Ubuntu: apt-get install wrk)"
