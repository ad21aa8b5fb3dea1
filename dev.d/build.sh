# The workspace and the sample images. Always the whole workspace: building one package alone unifies features differently and
# compiles half of the dependencies again.

# built NAME [PROFILE]   The path of a built program.
built() { printf '%s/%s/%s' "${CARGO_TARGET_DIR:-target}" "${2:-debug}" "$1"; }

# build_workspace CARGO-ARGUMENTS…
build_workspace() {
  local started
  command -v cargo >/dev/null || fail "cargo is not on PATH: install Rust with https://rustup.rs, then run again"
  started=$(now)
  cargo build --workspace "$@" >"$log_dir/build.log" 2>&1 9>&- ||
    fail_with_log build "cargo build --workspace${*:+ $*}" "mend what the compiler says, then run again"
  step build "cargo build --workspace${*:+ $*}" "$started"
}

# Builds and loads what is not there yet; the last line that it prints is its report.
build_images() {
  local started
  started=$(now)
  tests/fixtures/image.sh >"$log_dir/images.log" 2>&1 9>&- ||
    fail_with_log images "tests/fixtures/image.sh" "read the lines above"
  step images "skep-demo:v1 v2 v3 crash" "$started"
}
