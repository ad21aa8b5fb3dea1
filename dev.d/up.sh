# Services, build, bootstrap, then API and worker in the background.

command_up() {
  set_up_lock
  up
  set_up_unlock
  cat <<END

API and its documentation: $(api_url)/docs

Next:
  eval "\$(./dev env)"    DATABASE_URL, AMQP_URL, DOCKER_HOST, SKEP_URL and SKEP_OPERATOR_TOKEN in this shell
  ./dev demo             watch two organizations deploy, update and roll back
  ./dev logs -f          what API and worker say
END
}

up() {
  services_up
  build_workspace
  build_images
  bootstrap
  program_start worker worker_settings_export run
  program_start api api_settings_export
  api_wait
}

# Makes roles, database and schema, and the first operator token where there is none yet.
bootstrap() {
  local started
  started=$(now)
  (platform_settings_export &&
    "$(built worker)" bootstrap --admin-url "$SKEP_DEV_ADMIN_URL" --database skep --operator-token-file "$operator_token_file" \
      --sealing-keyring-file "$sealing_keyring_file") \
    >"$log_dir/bootstrap.log" 2>&1 9>&- </dev/null ||
    fail_with_log bootstrap "worker bootstrap" "./dev reset starts with an empty database"
  step bootstrap "roles, database skep, migrations" "$started"
}

# program_start NAME SETTINGS ARGUMENTS…
program_start() {
  local name=$1 settings=$2 started program
  shift 2
  started=$(now)
  program=$(built "$name")
  # A build replaces the file; the process then still runs the old one. Other ports mean other settings.
  if pid_of "$name"; then
    if [[ /proc/$REPLY/exe -ef $program && ! $instance_file -nt $pid_dir/$name ]]; then
      step "$name" "up" "$started"
      return 0
    fi
    end_process "$name" TERM 30
  fi
  if [[ $name == api ]]; then port_ensure_free api "$api_port"; fi
  ("$settings" && launch "$name" "$program" "$@")
  step "$name" "started" "$started"
}

api_wait() {
  local started
  started=$(now)
  wait_ready api 20 curl -fs --max-time 2 "$(api_url)/readyz" ||
    fail_with_log api "it is not ready at $(api_url)/readyz" "./dev logs shows API and worker"
  is_running worker || fail_with_log worker "it has ended" "read the lines above"
  step ready "$(api_url)/readyz" "$started"
}
