# Settings of API and worker on a developer's machine, in one place. A production installation sets its own: see their --help.

# role_url ROLE   The database `skep` as that role, on our cluster or on the caller's.
role_url() {
  local address="127.0.0.1:$postgres_port" query=''
  if ! own_postgres; then
    address=${SKEP_DEV_DATABASE_URL#*://}
    if [[ $address == *\?* ]]; then query="?${address#*\?}"; fi
    address=${address%%[/?]*}
    address=${address##*@}
  fi
  printf 'postgres://%s@%s/skep%s' "$1" "$address" "$query"
}

api_url() { printf 'http://127.0.0.1:%s' "$api_port"; }

# What `worker bootstrap` writes into Postgres, where API and worker read it. For a subshell.
platform_settings_export() {
  # Several checkouts may share an external Swarm: the platform's name tells whose services are whose.
  export SKEP_PLATFORM="dev-$instance_id"
  # A kernel without IPVS has no virtual addresses for services.
  export SKEP_ENDPOINT_MODE=dnsrr
  # The sample image is loaded into dockerd and stands in no registry.
  export SKEP_LOCAL_IMAGES=allow
  # Many small apps on a small machine: reserve a twentieth of what they may use.
  export SKEP_CPU_RESERVATION_RATIO=0.05
}

# For the process that is started next: call it in a subshell.
api_settings_export() {
  export DATABASE_URL SKEP_LISTEN SKEP_LOG_FORMAT=text
  DATABASE_URL=$(role_url skep_api)
  SKEP_LISTEN="127.0.0.1:$api_port"
  # The process that reads tenants' input has no business with Docker.
  unset DOCKER_HOST SKEP_DEV_ADMIN_URL
}

worker_settings_export() {
  export DATABASE_URL SKEP_LOG_FORMAT=text SKEP_SEALING_KEYRING_FILE="$sealing_keyring_file"
  DATABASE_URL=$(role_url skep_worker)
  unset SKEP_DEV_ADMIN_URL
}
