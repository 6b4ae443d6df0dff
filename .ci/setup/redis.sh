#!/usr/bin/env bash
# Makes sure that there is a redis-server: the system's, else Debian's package.
set -euo pipefail
. "$(dirname "$0")/common.sh"

have redis-server && exit 0
apt_install redis-server && have redis-server && exit 0
missing "redis-server is missing: install Redis 6.2 or later (Debian, Ubuntu: apt-get install redis-server)"
