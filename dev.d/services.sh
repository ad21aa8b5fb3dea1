# Postgres, RabbitMQ, dockerd and the registry together.

# Held only while things are set up. On a directory that is always there: no lock file to create, to leave behind or to delete
# under somebody who waits. Daemons are started without descriptor 9, or the lock would live as long as they do.
set_up_lock() {
  exec 9<"$dev_d"
  flock -n 9 || { printf 'dev: another ./dev sets up this checkout: waiting\n' >&2 && flock 9; }
}
set_up_unlock() { exec 9<&-; }

command_services() {
  set_up_lock
  services_up
  set_up_unlock
}

# Side by side: the slowest alone (RabbitMQ) decides. Not to be called in a condition: that would switch `set -e` off in here.
services_up() {
  local pid pids=() failed=''
  callers_environment_check
  mkdir -p "$log_dir"
  install_missing "${requirements[@]}"
  instance_ensure
  if own_docker; then become_root_early; fi
  if own_postgres; then postgres_start & pids+=($!); fi
  if own_rabbitmq; then rabbitmq_start & pids+=($!); fi
  if own_docker; then (docker_start; registry_start) & pids+=($!); fi
  for pid in "${pids[@]}"; do
    wait "$pid" || failed=yes
  done
  [[ -z $failed ]] || exit 1
  instance_export
}

# What tests, benchmarks and the demo read.
instance_export() {
  SKEP_DEV_ADMIN_URL=${SKEP_DEV_DATABASE_URL:-postgres://postgres@127.0.0.1:$postgres_port/postgres}
  AMQP_URL=${SKEP_DEV_AMQP_URL:-amqp://guest:guest@127.0.0.1:$amqp_port/%2f}
  DOCKER_HOST=${SKEP_DEV_DOCKER_HOST:-unix://$(docker_socket)}
  SKEP_DEV_DIR=$dev_dir
  export SKEP_DEV_ADMIN_URL AMQP_URL DOCKER_HOST SKEP_DEV_DIR
  unset SKEP_DEV_NETNS SKEP_DEV_REGISTRY SKEP_DEV_SECOND_DOCKER_HOST SKEP_DEV_RIG_SOCKETS
  if own_docker; then
    SKEP_DEV_SECOND_DOCKER_HOST=unix://$(node_socket)
    SKEP_DEV_RIG_SOCKETS=$run_dir
    export SKEP_DEV_NETNS=$netns SKEP_DEV_REGISTRY=$registry_address SKEP_DEV_PRIVATE_REGISTRY=$private_registry_address \
      SKEP_DEV_PRIVATE_REGISTRY_LOGIN=$private_registry_login SKEP_DEV_SECOND_DOCKER_HOST SKEP_DEV_RIG_SOCKETS
  fi
}
