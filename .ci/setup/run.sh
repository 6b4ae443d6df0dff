#!/usr/bin/env bash
# Puts the wall before a service that is already there, and keeps running until Ctrl-C: envoy/envoy.yaml with the
# upstream's address, the port to listen on, and a Redis of its own (or the one that REDIS=host:port names).
set -euo pipefail
. "$(dirname "$0")/common.sh"

: "${ENVOY:?run this through make run}"
upstream=${UPSTREAM:-}
[[ $upstream =~ ^[A-Za-z0-9._-]+:[0-9]+$ ]] || missing "say where your service is: make run UPSTREAM=host:port"
listen=${LISTEN:-10000} admin=${ADMIN:-9901}
[[ $listen =~ ^[0-9]+$ ]] || missing "LISTEN is a port number, found '$listen'"
[[ $admin =~ ^[0-9]+$ ]] || missing "ADMIN is a port number, found '$admin'"

scratch=$(mktemp -d)
redis_pid='' envoy_pid=''
cleanup() {
  trap - EXIT INT TERM
  for pid in $envoy_pid $redis_pid; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 0' INT TERM

redis=${REDIS:-}
if [ -z "$redis" ]; then
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --maxmemory 256mb \
    --maxmemory-policy allkeys-lru --dir "$scratch" >"$scratch/redis.log" 2>&1 &
  redis_pid=$!
  redis=127.0.0.1:$port
fi
[[ $redis =~ ^[A-Za-z0-9._-]+:[0-9]+$ ]] || missing "REDIS is host:port, found '$redis'"

# In the shipped file every port number occurs once, right after its address.
place() { # port in the file, new address, new port
  sed -i -E "s/address: [0-9.]+, port_value: $1([^0-9])/address: $2, port_value: $3\1/" "$scratch/envoy.yaml"
}
cp envoy/envoy.yaml "$scratch/envoy.yaml"
place 8000 "@${upstream%:*}" "@${upstream#*:}"
place 6379 "@${redis%:*}" "@${redis#*:}"
place 10000 127.0.0.1 "@$listen"
place 9901 127.0.0.1 "@$admin"
sed -i 's/address: @/address: /; s/port_value: @/port_value: /' "$scratch/envoy.yaml"

"$ENVOY" --config-path "$scratch/envoy.yaml" --disable-hot-restart --log-level warn &
envoy_pid=$!
cat <<END
the wall     http://127.0.0.1:$listen  before http://$upstream
operators    http://127.0.0.1:$admin   (stats: /stats?filter=breakwater)
Redis        $redis
Ctrl-C ends it. Each line below is a request.
END
wait "$envoy_pid"
