# ./dev node start|stop   A second dockerd, for tests of what only a node's own daemon knows: its images and its containers. It is in
# the first one's network namespace, and so in no swarm (two would want the same ports), with a bridge of its own (told to have none,
# dockerd takes away docker0, which is the first one's) and without rules. It starts empty. Several nodes in one swarm are the business of a rig.

command_node() {
  callers_environment_check
  own_docker || fail "dockerd is an instance of yours (SKEP_DEV_DOCKER_HOST): ./dev starts no second one beside it"
  instance_load || fail "nothing was ever started here: run ./dev services"
  become_root_early
  set_up_lock
  case ${1:-} in
    start) node_start ;;
    stop) end_with_line node node_stop ;;
    *) fail "usage: ./dev node start|stop" ;;
  esac
  set_up_unlock
}

node_socket() { printf '%s/node.sock' "$run_dir"; }

node_answers() {
  is_running node && [[ $(curl -s --max-time 3 --unix-socket "$(node_socket)" http://docker/_ping) == OK ]]
}

node_start() {
  local started
  started=$(now)
  docker_answers || fail "dockerd is not running: run ./dev services"
  if ! node_answers; then
    node_stop
    as_root rm -rf --one-file-system "$dev_dir/node"
    as_root ip -n "$netns" link show skepnode >/dev/null 2>&1 || node_bridge
    dockerd_launch node "$netns-node" "$netns" --bridge=skepnode --iptables=false --ip-forward=false
    wait_ready node 60 node_answers ||
      fail_with_log node "the second dockerd does not answer on $(node_socket)" "read the lines above; ./dev reset starts with an empty one"
  fi
  step node "up on $(node_socket)" "$started"
}

# Of the same range as the namespace's only other address.
node_bridge() {
  as_root ip -n "$netns" -batch - <<END
link add skepnode type bridge
address add 198.51.100.5/30 dev skepnode
link set skepnode up
END
}

node_stop() { end_process node TERM 25; }
