# ./dev rig   Several nodes in one Swarm: dockerds in network namespaces of their own, joined by a bridge in another one. Nothing of it
# has a way out. Who joins whom, and what is cut, killed and drained, is the tests' business (tests/src/rig.rs).

rig_nodes=3
# 203.0.113.0/24 is for documentation: node N is .N.
rig_network=203.0.113

command_rig() {
  case ${1:-} in
    up | down | kill | start | cut | mend)
      callers_environment_check
      own_docker || fail "dockerd is an instance of yours (SKEP_DEV_DOCKER_HOST): ./dev starts no rig beside it"
      instance_load || fail "nothing was ever started here: run ./dev services"
      become_root_early
      set_up_lock
      rig_verb "$@"
      set_up_unlock
      ;;
    vm) rig_vm "${@:2}" ;;
    *) rig_test "$@" ;;
  esac
}

rig_verb() {
  local verb=$1 node=${2:-}
  case $verb in
    up) rig_up ;;
    down) rig_down ;;
    *)
      if [[ ! $node =~ ^[1-9]$ ]] || ((node > rig_nodes)); then fail "usage: ./dev rig $verb N   with a node from 1 to $rig_nodes"; fi
      "rig_node_$verb" "$node"
      ;;
  esac
}

# ./dev rig vm [FILTER…]   What this machine's kernel lacks, on two nodes in a virtual machine (vm.sh); each test prints its verdict.
rig_vm() {
  local started node bad=0
  started=$(now)
  own_docker || fail "dockerd is an instance of yours (SKEP_DEV_DOCKER_HOST): the images of the machine come from the one that ./dev starts"
  set_up_lock
  services_up
  vm_install
  build_workspace --bins --tests
  build_images
  vm_image_ensure
  # Also of a run that fails or is broken off.
  trap vm_stop EXIT
  vm_start
  rig_images_save
  for ((node = 1; node <= vm_nodes; node++)); do rig_images_load "$(vm_socket "$node")"; done
  set_up_unlock
  cargo test --workspace --test vm -- --ignored --nocapture --test-threads 1 "$@" || bad=1
  set_up_lock
  end_with_line vm vm_stop
  set_up_unlock
  step rig-vm "$([[ $bad == 0 ]] && printf 'every verdict as promised' || printf 'FAILED: read above')" "$started"
  return $bad
}

# All tests on several nodes, those too that take minutes and that ./dev test leaves out.
rig_test() {
  own_docker || fail "dockerd is an instance of yours (SKEP_DEV_DOCKER_HOST): ./dev starts no rig beside it"
  set_up_lock
  services_up
  build_workspace --bins --tests
  build_images
  set_up_unlock
  local bad=0
  cargo test --workspace --test rig -- --include-ignored --nocapture "$@" || bad=1
  set_up_lock
  rig_down
  set_up_unlock
  return $bad
}

rig_bridge_netns() { printf '%s-rig' "$netns"; }
rig_netns() { printf '%s-rig%s' "$netns" "$1"; }
rig_socket() { printf '%s/rig%s.sock' "$run_dir" "$1"; }

# Always from nothing: what a test did to a swarm is no other test's business.
rig_up() {
  local started node pid pids=() failed=''
  started=$(now)
  rig_down
  as_root ip netns add "$(rig_bridge_netns)"
  as_root ip -n "$(rig_bridge_netns)" -batch - <<<$'link set lo up\nlink add bridge type bridge\nlink set bridge up'
  rig_images_save
  for ((node = 1; node <= rig_nodes; node++)); do
    rig_node_start "$node" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=yes; done
  [[ -z $failed ]] || exit 1
  step rig "$rig_nodes nodes on $run_dir/rig*.sock" "$started"
}

rig_down() {
  local node
  for ((node = 1; node <= rig_nodes; node++)); do
    [[ -e $dev_dir/rig$node || -e /run/netns/$(rig_netns "$node") ]] || continue
    # A power cut: what ran there is nobody's any more.
    end_process "rig$node" KILL 10
    rig_netns_remove "$(rig_netns "$node")"
    as_root rm -rf --one-file-system "$dev_dir/rig$node"
  done
  rig_netns_remove "$(rig_bridge_netns)"
  cgroups_remove "$netns-rig"
}

rig_netns_remove() {
  if [[ -e /run/netns/$1 ]]; then as_root ip netns delete "$1"; fi
}

# The images of the first dockerd, with their ids: made once more on each node they would be others.
rig_images_save() {
  DOCKER_HOST="unix://$(docker_socket)" docker save --output "$dev_dir/rig-images.tar" skep-demo:v1 skep-demo:v2 skep-demo:v3 skep-demo:crash
}

# With the data that it has, in a network namespace that is made anew, as a machine that was switched on again.
rig_node_start() {
  local node=$1 name="rig$1" netns_of
  netns_of=$(rig_netns "$node")
  rig_netns_remove "$netns_of"
  # The old namespace, and the link into it, may live on as long as something of the node does.
  as_root ip -n "$(rig_bridge_netns)" link delete "node$node" 2>/dev/null || true
  as_root ip netns add "$netns_of"
  as_root ip -n "$(rig_bridge_netns)" -batch - <<END
link add node$node type veth peer name eth0 netns $netns_of
link set node$node master bridge up
END
  as_root ip -n "$netns_of" -batch - <<END
link set lo up
address add $rig_network.$node/24 dev eth0
link set eth0 up
END
  dockerd_launch "$name" "$netns_of" "$netns_of"
  wait_ready "$name" 60 rig_node_answers "$node" ||
    fail_with_log "$name" "node $node of the rig does not answer on $(rig_socket "$node")" "read the lines above"
  rig_images_load "$(rig_socket "$node")"
}

# rig_images_load SOCKET
rig_images_load() { docker -H "unix://$1" load --quiet --input "$dev_dir/rig-images.tar" >/dev/null; }

rig_node_answers() {
  is_running "rig$1" && [[ $(curl -s --max-time 3 --unix-socket "$(rig_socket "$1")" http://docker/_ping) == OK ]]
}

rig_node_kill() { end_process "rig$1" KILL 10; }

# The node lives on, and nobody hears of it.
rig_node_cut() { as_root ip -n "$(rig_bridge_netns)" link set "node$1" down; }
rig_node_mend() { as_root ip -n "$(rig_bridge_netns)" link set "node$1" up; }
