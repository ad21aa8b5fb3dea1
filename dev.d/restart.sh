# ./dev restart SERVICE   Ends and starts one of our services, under whoever uses it: how the tests see what a restart loses.

command_restart() {
  local service=${1:-}
  case $service in
    rabbitmq | postgres | docker) ;;
    *) fail "usage: ./dev restart rabbitmq|postgres|docker" ;;
  esac
  callers_environment_check
  "own_$service" || fail "$service is an instance of yours (SKEP_DEV_…): ./dev restarts only what it started"
  instance_load || fail "nothing was ever started here: run ./dev services"
  set_up_lock
  is_running "$service" || fail "$service is not running: run ./dev services"
  restart_"$service"
  set_up_unlock
}

restart_rabbitmq() {
  end_with_line rabbitmq rabbitmq_stop
  rabbitmq_start
}

restart_postgres() {
  end_with_line postgres postgres_stop
  postgres_start
}

# The registry lives in dockerd's network namespace, which each dockerd gets anew.
restart_docker() {
  become_root_early
  end_with_line registry registry_stop
  end_with_line docker docker_stop
  docker_start
  registry_start
}
