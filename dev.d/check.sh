# ./dev check   Everything that a review should not have to look for. All checks run, also after one has failed.

command_check() {
  local failed=''
  set_up_lock
  services_up
  set_up_unlock
  check fmt formatted
  check clippy linted
  check boundaries boundaries_hold
  check shellcheck shellcheck dev dev.d/*.sh dev.d/exec/*.sh dev.d/vm/*.sh .ci/run tests/fixtures/*.sh
  check snapshots snapshots_match
  check files file_lengths
  check names names_say_something
  check reasons dependencies_have_reasons
  check docs env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
  [[ -z $failed ]] || fail "failed:$failed"
}

# check NAME COMMAND…   Sets the caller's `failed`. A check is judged by its status alone, so each returns one by hand:
# in the condition below `set -e` is off.
check() {
  local name=$1 started log="$log_dir/check-$1.log"
  started=$(now)
  shift
  if "$@" >"$log" 2>&1; then
    step "$name" ok "$started"
  else
    step "$name" FAILED "$started"
    sed 's/^/  | /' "$log"
    failed+=" $name"
  fi
}

# The probes and the sample app are workspaces of their own.
workspaces=(Cargo.toml probe/Cargo.toml isolation-probe/Cargo.toml tests/fixtures/app/Cargo.toml)

formatted() {
  local manifest bad=0
  for manifest in "${workspaces[@]}"; do
    cargo fmt --all --check --manifest-path "$manifest" || bad=1
  done
  return $bad
}

linted() {
  local manifest bad=0
  for manifest in "${workspaces[@]}"; do
    cargo clippy --workspace --all-targets --manifest-path "$manifest" -- -D warnings || bad=1
  done
  return $bad
}

# crate | what it must never depend on, however indirectly. The API must not reach Docker; the model compiles in seconds.
boundaries=(
  'model|tokio poem poem-openapi lapin bollard diesel-async'
  'sealing|model db tokio poem poem-openapi lapin bollard'
  'db|lapin poem poem-openapi bollard'
  'queue|poem poem-openapi bollard'
  'telemetry|model db poem poem-openapi lapin bollard'
  'api|orchestrator worker bollard'
  'orchestrator|poem poem-openapi'
  'worker|poem poem-openapi'
)

boundaries_hold() {
  local rule crate forbidden reached direct bad=0
  for rule in "${boundaries[@]}"; do
    crate=${rule%%|*}
    reached=$(crates_under "$crate") || return 1
    for forbidden in ${rule#*|}; do
      if grep -qx "$forbidden" <<<"$reached"; then
        printf '%s depends on %s:\n' "$crate" "$forbidden"
        cargo tree -q -p "$crate" -e normal -i "$forbidden"
        bad=1
      fi
    done
    direct=$(crates_under "$crate" --depth 1) || return 1
    if [[ $crate != orchestrator ]] && grep -qx bollard <<<"$direct"; then
      printf '%s depends on bollard: only orchestrator may\n' "$crate"
      bad=1
    fi
    if [[ $crate != queue ]] && grep -qx lapin <<<"$direct"; then
      printf '%s depends on lapin: only queue may\n' "$crate"
      bad=1
    fi
  done
  if grep -rnE --include='*.rs' '^[^/]*\bbollard\b' orchestrator/src | grep -v '^orchestrator/src/swarm/'; then
    printf 'bollard belongs under orchestrator/src/swarm/ only\n'
    bad=1
  fi
  if grep -rnE --include='*.rs' '\b(Keyring|PrivateKey)\b' api/src db/src; then
    printf 'api and db seal, and never open: private keys are for workers\n'
    bad=1
  fi
  return $bad
}

# crates_under CRATE [CARGO-TREE-ARGUMENTS…]   Names, one on a line.
crates_under() {
  local crate=$1
  shift
  cargo tree -q -p "$crate" -e normal --prefix none --format '{p}' "$@" | cut -d ' ' -f 1
}

# schema.rs against the migrated database, the OpenAPI document against its snapshot and against what was promised: tests, because both need the crates.
# --workspace, not -p tests: one package alone would unify features differently and compile again.
snapshots_match() {
  cargo test -q --workspace --test integration -- schema_matches openapi_snapshot openapi_compatible || return 1
  local test
  for test in schema_matches openapi_snapshot openapi_compatible; do
    cargo test -q --workspace --test integration -- --list "$test" | grep -q ': test$' || {
      printf 'there is no test %s\n' "$test"
      return 1
    }
  done
}

# Everything of ours below the root, without what is built or run.
sources() { find . \( -name target -o -name .dev -o -name .git \) -prune -o "$@" -print; }

file_lengths() {
  local long
  long=$(sources -name '*.rs' ! -path ./model/src/schema.rs | xargs -r -d '\n' wc -l | awk '$2 != "total" && $1 > 400 { print $2 ": " $1 " lines" }')
  [[ -z $long ]] || { printf 'past 400 lines a file holds two ideas:\n%s\n' "$long" && return 1; }
}

names_say_something() {
  local empty='core|common|utils?|helpers?|manager' found
  found=$(
    sources -regextype posix-extended -regex ".*/($empty)(\.[a-z]+)?"
    sources -name '*.rs' | xargs -r -d '\n' grep -nE "^\s*(pub(\([^)]*\))? )?mod ($empty)\b"
    sources -name Cargo.toml | xargs -r -d '\n' grep -nE "^name = \"($empty)\""
  )
  [[ -z $found ]] || { printf 'names that say nothing:\n%s\n' "$found" && return 1; }
}

# In [workspace.dependencies] a comment on the line or above it says why we carry the crate. Our own crates need none.
dependencies_have_reasons() {
  awk '
    /^\[/ { inside = ($0 == "[workspace.dependencies]"); depth = 0; above = 0; next }
    !inside { next }
    /^[[:space:]]*#/ { above = 1; next }
    depth == 0 && /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)* *=/ {
      if (!above && !/#/ && !/path *=/) { print "no reason given: " $0; bad = 1 }
    }
    { depth += gsub(/[[{]/, "") - gsub(/[]}]/, ""); above = 0 }
    END { exit bad }
  ' Cargo.toml
}
