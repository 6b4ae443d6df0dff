# Sourced by the other scripts: one way to look for a tool, to install it, and to say in one line what is missing.

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mkdir -p .tools

have() { command -v "$1" >/dev/null 2>&1; }

# The one line a newcomer reads when something cannot be had.
missing() {
  printf 'breakwater: %s\n' "$*" >&2
  exit 1
}

# Installs Debian packages, as root or through sudo; one installation at a time, its output in .tools/apt.log.
apt_install() {
  have apt-get || return 1
  local -a as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    have sudo || return 1
    as_root=(sudo)
    [ -t 0 ] || as_root+=(-n)
  fi
  printf 'installing %s\n' "$*" >&2
  (
    flock 9
    "${as_root[@]}" apt-get -q update \
      && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@"
  ) 9>.tools/apt.lock >>.tools/apt.log 2>&1 </dev/stdin
}
