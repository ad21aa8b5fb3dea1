# A private Postgres cluster: trust on loopback, fsync on (a test that passes only without it proves nothing).

# The directory of the newest server's programs.
postgres_programs() {
  local initdb
  initdb=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)
  [[ -x $initdb ]] || initdb=$(command -v initdb) || return 1
  printf '%s' "${initdb%/initdb}"
}

postgres_answers() {
  is_running postgres && "$postgres_programs/pg_isready" -q -h 127.0.0.1 -p "$postgres_port" -t 2
}

postgres_start() {
  local started postgres_programs data="$state_dir/postgres/data" made='' service
  started=$(now)
  postgres_programs=$(postgres_programs)
  if postgres_answers; then
    step postgres "up on 127.0.0.1:$postgres_port" "$started"
    return 0
  fi
  end_process postgres INT
  port_ensure_free postgres "$postgres_port"
  service_directory postgres "$state_dir/postgres"
  service_directory postgres "$run_dir/postgres"
  as_service postgres "$state_dir/postgres"

  if [[ ! -e $data/made ]]; then
    # A run that was killed in the middle of initdb leaves half a cluster: nothing in it is anybody's yet.
    rm -rf "$data"
    "${service[@]}" "$postgres_programs/initdb" -D "$data" -U postgres -A trust --data-checksums -E UTF8 --locale=C.UTF-8 \
      >"$log_dir/postgres.log" 2>&1 || fail_with_log postgres "initdb failed" "./dev reset, then again"
    "${service[@]}" touch "$data/made"
    made="made and "
  fi
  postgres_configure "$data"
  postgres_locks_remove "$data"

  # For a moment after a SIGKILL of the server its children may hold the shared memory, and its pid is taken until somebody
  # has waited for it: Postgres refuses to start, and says so.
  for _ in 1 2 3 4 5; do
    launch postgres "${service[@]}" "$postgres_programs/postgres" -D "$data"
    if wait_ready postgres 30 postgres_answers; then
      step postgres "${made}started on 127.0.0.1:$postgres_port" "$started"
      return 0
    fi
    grep -qE 'shared memory block|"postmaster.pid" already exists' "$log_dir/postgres.log" || break
    sleep 1
  done
  fail_with_log postgres "it does not answer on 127.0.0.1:$postgres_port" "read the lines above; ./dev reset starts with a new cluster"
}

postgres_configure() {
  cat >"$1/postgresql.conf" <<END
# Written by ./dev at each start.
listen_addresses = '127.0.0.1'
port = $postgres_port
unix_socket_directories = '$run_dir/postgres'
max_connections = 300
log_min_duration_statement = 250ms
log_line_prefix = '%m [%p] %q%u@%d '
timezone = 'UTC'
log_timezone = 'UTC'
END
}

# The server that wrote these is gone: `end_process` saw to it, or the machine was booted since. Postgres looks only at the pid in them, which
# by now may be somebody else's, and would refuse to start. In the same boot it is left to judge for itself: it also checks the
# shared memory, and so notices children that outlived it.
postgres_locks_remove() {
  rm -f "$run_dir/postgres/".s.PGSQL.*
  local boot=
  { read -r boot <"$state_dir/postgres/boot"; } 2>/dev/null || true
  if [[ $boot != "$boot_id" ]]; then rm -f "$1/postmaster.pid"; fi
  printf '%s\n' "$boot_id" >"$state_dir/postgres/boot"
}

# SIGINT is Postgres's fast shutdown; SIGTERM would wait for every client.
postgres_stop() { end_process postgres INT 20; }
