# ./dev test [FILTER…]   The whole suite on real Postgres, RabbitMQ and dockerd.

command_test() {
  set_up_lock
  services_up
  # One build of both: tests start API and worker as children.
  build_workspace --bins --tests
  build_images
  set_up_unlock
  # Tests mostly wait for windows and probes to pass: more of them at once than there are processors.
  export RUST_TEST_THREADS=${RUST_TEST_THREADS:-6}
  local ended=0
  test_workspaces "$@" 2>&1 | test_report || ended=$?
  planted_scan
  return "$ended"
}

# The probes and the sample app are workspaces of their own. Every binary runs even when one fails, or the counts would hide
# the rest.
test_workspaces() {
  local manifest bad=0
  for manifest in Cargo.toml probe/Cargo.toml isolation-probe/Cargo.toml tests/fixtures/app/Cargo.toml; do
    cargo test --workspace --no-fail-fast --manifest-path "$manifest" -- "$@" || bad=1
  done
  return $bad
}

# Passes cargo's output on as it comes, but keeps back the `test result:` lines, to end with them, named, and with their total.
# Fails when nothing ran: a filter that matches nothing proves nothing.
test_report() {
  awk '
    # Running tests/integration.rs (target/debug/deps/integration-0123456789abcdef)
    /^ *Running / { name = $NF; sub(/.*\//, "", name); sub(/-[0-9a-f]+\)$/, "", name); name = name " " $(NF - 1) }
    /^ *Doc-tests / { name = $2 " doc-tests" }
    /^test result: / {
      results[++binaries] = $0
      names[binaries] = name
      for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^passed/) passed += $i
        if ($(i + 1) ~ /^failed/) failed += $i
        if ($(i + 1) ~ /^ignored/) ignored += $i
      }
      next
    }
    { print; fflush() }
    END {
      print ""
      for (i = 1; i <= binaries; i++) print results[i] "  " names[i]
      printf "total: %d passed; %d failed; %d ignored; %d binaries\n", passed, failed, ignored, binaries
      if (passed + failed == 0) print "dev: no test ran" > "/dev/stderr"
      exit passed + failed == 0
    }'
}
