#!/usr/bin/env bash
# Runs cargo for a WebAssembly target with whatever toolchain can do it: wasm-cargo.sh TARGET COMMAND [ARGUMENT…]
#
# 1. the Rust at hand, if it has the target; 2. the same after `rustup target add`; 3. Debian's Rust, which brings the
# sources of the standard library and builds them for the target (about a minute, once). Else one line says what to
# install. BREAKWATER_WASM_RUST=debian takes the third way at once.
set -euo pipefail
. "$(dirname "$0")/common.sh"

target=$1 command=$2
shift 2
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/wasm}

has_target() { [ -n "$(find "$(rustc --print target-libdir --target "$target" 2>/dev/null)" -name 'libstd-*' 2>/dev/null)" ]; }

add_target() {
  have rustup || return 1
  printf 'adding the Rust target %s\n' "$target" >&2
  timeout 300 rustup --quiet target add "$target" >.tools/rustup.log 2>&1
}

debian_packages=(rustc-web cargo-web rust-web-src wasi-libc lld-19)
if [ "$command" = clippy ]; then debian_packages+=(rust-web-clippy); fi

has_debian() {
  [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -d /usr/lib/wasm32-wasi ] \
    && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std" ] \
    && { [ "$command" != clippy ] || [ -x /usr/bin/clippy-driver ]; }
}

if [ "${BREAKWATER_WASM_RUST:-}" != debian ] && have cargo && have rustc && { has_target || { add_target && has_target; }; }; then
  exec cargo "$command" --target "$target" "$@"
fi

has_debian || apt_install "${debian_packages[@]}" || true
has_debian || missing "no Rust for $target: install rustup (https://rustup.rs) and run 'rustup target add $target'"

linker=$(command -v rust-lld || find ~/.rustup/toolchains -name rust-lld 2>/dev/null | head -1 || true)
linker=${linker:-$(command -v wasm-ld-19 || command -v wasm-ld || true)}
[ -n "$linker" ] || missing "no linker for WebAssembly: install lld-19"

name=$(printf %s "$target" | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${name}_LINKER=$linker"
if [ "$target" = wasm32-wasip1 ]; then
  export "CARGO_TARGET_${name}_RUSTFLAGS=-C link-self-contained=no -C link-arg=-L/usr/lib/wasm32-wasi"
fi
# The standard library's sources are built with the stable compiler: hence the bootstrap flag.
export PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
exec /usr/bin/cargo "$command" --target "$target" -Zbuild-std=std,panic_abort "$@"
