# One line for each process.

command_status() {
  if ! instance_load; then
    printf 'nothing was ever started here\n'
    return 0
  fi
  status_line postgres "127.0.0.1:$postgres_port"
  status_line rabbitmq "127.0.0.1:$amqp_port"
  status_line epmd "127.0.0.1:$epmd_port"
  status_line docker "$(docker_socket)"
  status_line node "$(node_socket)"
  status_line vm "$(vm_socket 1) and the next"
  status_line registry "$registry_address of dockerd's network ($netns)"
  status_line private-registry "$private_registry_address of dockerd's network ($netns)"
  status_line api "$(api_url)"
  status_line worker ''
}

# status_line NAME ADDRESS
status_line() {
  if pid_of "$1"; then
    printf '%-10s up    pid %-8s %s\n' "$1" "$REPLY" "$2"
  else
    printf '%-10s down\n' "$1"
  fi
}
