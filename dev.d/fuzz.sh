# ./dev fuzz [CASES]   Schemathesis (Python) against an API of its own, once as a tenant and once as an operator. It needs python3 with venv,
# and installs Schemathesis from Python's index into .dev/fuzz.

fuzz_database=skep_fuzz
fuzz_cases=${SKEP_FUZZ_CASES:-60}

command_fuzz() {
  local who failed=''
  [[ -z ${1:-} ]] || fuzz_cases=$1
  [[ $fuzz_cases =~ ^[1-9][0-9]*$ ]] || fail "usage: ./dev fuzz [CASES]   CASES: most cases for each operation and phase"
  own_postgres || fail "./dev fuzz drops and makes a database: it does so in a Postgres of its own only (SKEP_DEV_DATABASE_URL is set)"
  set_up_lock
  services_up
  build_workspace --bins
  schemathesis_install
  set_up_unlock
  rm -rf "$dev_dir/fuzz/report"
  for who in tenant operator; do
    # Each finds it empty: what the one leaves behind (a removed app) would be a 404 to the other.
    fuzz_up
    fuzz_as "$who" "$(<"$dev_dir/fuzz/$who-token")" || failed+=" $who"
  done
  end_process fuzz TERM 30
  [[ -z $failed ]] || fail "failed as:$failed; the reports are in $dev_dir/fuzz/report"
}

schemathesis() { "$dev_dir/fuzz/venv/bin/schemathesis" "$@"; }

schemathesis_install() {
  local started
  started=$(now)
  mkdir -p "$dev_dir/fuzz"
  if schemathesis --version >/dev/null 2>&1; then return 0; fi
  { python3 -m venv "$dev_dir/fuzz/venv" && "$dev_dir/fuzz/venv/bin/pip" install -q 'schemathesis>=4.32,<5'; } >"$log_dir/fuzz.log" 2>&1 9>&- ||
    fail_with_log fuzz "Schemathesis could not be installed" "it needs python3, python3-venv and Python's package index"
  step fuzz "installed $(schemathesis --version)" "$started"
}

# The port after the API's: each checkout has a block of them.
fuzz_port() { printf '%d' $((api_port + 1)); }
fuzz_url() { printf 'http://127.0.0.1:%s' "$(fuzz_port)"; }

# An empty platform, and what the cases find in it: an organization with a deployed app, and the tokens that are used. There is no worker:
# what is accepted stays queued.
fuzz_up() {
  local started psql secret
  started=$(now)
  psql=("$(postgres_programs)/psql" -q -h 127.0.0.1 -p "$postgres_port" -U postgres)
  end_process fuzz TERM 30
  rm -f "$dev_dir/fuzz/operator-token"
  "${psql[@]}" -c "DROP DATABASE IF EXISTS $fuzz_database WITH (FORCE)" 2>"$log_dir/fuzz.log" || fail_with_log fuzz "psql" "./dev services"
  (platform_settings_export &&
    "$(built worker)" bootstrap --admin-url "$SKEP_DEV_ADMIN_URL" --database "$fuzz_database" --operator-token-file "$dev_dir/fuzz/operator-token") \
    >"$log_dir/fuzz.log" 2>&1 9>&- </dev/null || fail_with_log fuzz "worker bootstrap" "read the lines above"
  # What is looked for is not found in answers that say to come later.
  "${psql[@]}" -d "$fuzz_database" -c "UPDATE plans SET rates = '{\"general\": 1000000, \"operations\": 1000000, \"aggregations\": 1000000}'" \
    2>"$log_dir/fuzz.log" || fail_with_log fuzz "psql" "read the lines above"
  port_ensure_free fuzz "$(fuzz_port)"
  (api_settings_export
    DATABASE_URL="postgres://skep_api@127.0.0.1:$postgres_port/$fuzz_database"
    SKEP_LISTEN="127.0.0.1:$(fuzz_port)"
    export SKEP_ANONYMOUS_RATE=1000000
    export SKEP_QUEUE_PREFIX="fuzz-$instance_id"
    launch fuzz "$(built api)")
  wait_ready fuzz 20 curl -fs --max-time 2 "$(fuzz_url)/healthz" || fail_with_log fuzz "the API does not serve" "read the lines above"
  secret=$(<"$dev_dir/fuzz/operator-token")
  fuzz_post "$secret" /v1/organizations '{"slug":"acme"}' >/dev/null
  fuzz_post "$secret" /v1/organizations/acme/tokens '{"name":"fuzz"}' |
    sed -n 's/.*"secret":"\([^"]*\)".*/\1/p' >"$dev_dir/fuzz/tenant-token"
  fuzz_post "$secret" /v1/organizations/acme/environments/production/apps '{"slug":"web","image":"demo:v1"}' >/dev/null
  fuzz_post "$secret" /v1/organizations/acme/environments/production/apps/web/deployments '{}' >"$dev_dir/fuzz/deployment"
  step fuzz "an empty platform on $(fuzz_url)" "$started"
}

# fuzz_post TOKEN PATH BODY
fuzz_post() {
  curl -fsS --max-time 10 -H "Authorization: Bearer $1" -H 'Content-Type: application/json' -d "$3" "$(fuzz_url)$2" ||
    fail_with_log fuzz "POST $2" "read the lines above"
}

# fuzz_as WHO TOKEN
fuzz_as() {
  local started report="$dev_dir/fuzz/report/$1"
  started=$(now)
  mkdir -p "$report"
  # The token is in a file of the configuration and not among the arguments, where every process of the machine could read it.
  (cd "$dev_dir/fuzz" && SKEP_FUZZ_TOKEN=$2 SKEP_FUZZ_STATE=$dev_dir/fuzz PYTHONPATH=$dev_d/exec \
    schemathesis --config-file "$dev_d/exec/schemathesis.toml" run "$(fuzz_url)/openapi.json" --no-color \
    --max-examples "$fuzz_cases" --report junit,ndjson --report-dir "$report" >"$report/summary.txt" 2>&1) || {
    tail -n 200 "$report/summary.txt"
    step fuzz "as $1: FAILED" "$started"
    return 1
  }
  sed -n '/SUMMARY/,$p' "$report/summary.txt"
  step fuzz "as $1" "$started"
}
