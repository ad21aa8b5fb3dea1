# Lines for `eval "$(./dev env)"`. Standard output holds nothing else.

command_env() {
  callers_environment_check
  if ! instance_load || ! environment_is_up; then
    fail "nothing is up here: run ./dev up first"
  fi
  instance_export
  local owner
  owner=$(role_url skep_owner)
  printf 'export %s=%q\n' DATABASE_URL "$owner" AMQP_URL "$AMQP_URL" DOCKER_HOST "$DOCKER_HOST" SKEP_URL "$(api_url)"
  if [[ -r $operator_token_file ]]; then
    printf 'export SKEP_OPERATOR_TOKEN=%q\n' "$(<"$operator_token_file")"
  else
    printf 'dev: no operator token here: ./dev up makes the first one; when its file is lost, ./dev reset starts over\n' >&2
  fi
}

environment_is_up() {
  { ! own_postgres || is_running postgres; } && { ! own_rabbitmq || is_running rabbitmq; } && { ! own_docker || is_running docker; }
}
