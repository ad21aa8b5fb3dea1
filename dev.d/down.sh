# Ends what we started, users of a service before the service itself. The data stays.

command_down() {
  instance_load || true
  if [[ ! -d $run_dir ]]; then
    printf 'nothing was started here\n'
    return 0
  fi
  set_up_lock
  down
  set_up_unlock
}

down() {
  end_with_line worker end_process worker TERM 30
  end_with_line api end_process api TERM 30
  end_with_line registry registry_stop
  end_with_line node node_stop
  rig_down
  end_with_line vm vm_stop
  end_with_line docker docker_stop
  netns_remove
  end_with_line rabbitmq rabbitmq_stop
  end_with_line postgres postgres_stop
}

# end_with_line NAME COMMAND…
end_with_line() {
  local started name=$1 text='was not running'
  shift
  started=$(now)
  if is_running "$name"; then text='ended'; fi
  "$@"
  step "$name" "$text" "$started"
}
