# Instances of the caller's are used only when asked for by name: a DATABASE_URL or DOCKER_HOST left over from other work must
# never become the place where our tests create and drop things.

callers_environment_ignore() {
  unset DATABASE_URL AMQP_URL DOCKER_HOST DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION
  # What ./dev env gave to the caller's shell: no business of the processes that we start.
  unset SKEP_URL SKEP_OPERATOR_TOKEN
  unset "${!PG@}"
}

callers_environment_check() {
  if [[ -n ${SKEP_DEV_DOCKER_HOST:-} && ${SKEP_DEV_DOCKER_EXTERNAL:-} != yes ]]; then
    fail "SKEP_DEV_DOCKER_HOST is set: Skep would turn that dockerd into a Swarm manager and run containers on it. Set SKEP_DEV_DOCKER_EXTERNAL=yes as well if you mean it."
  fi
}

own_postgres() { [[ -z ${SKEP_DEV_DATABASE_URL:-} ]]; }
own_rabbitmq() { [[ -z ${SKEP_DEV_AMQP_URL:-} ]]; }
own_docker() { [[ -z ${SKEP_DEV_DOCKER_HOST:-} ]]; }
