# A private dockerd. `docker-init.sh` is its pid 1; this file starts that in the namespaces and cleans up around it.

docker_socket() { printf '%s/docker.sock' "$run_dir"; }

docker_answers() {
  pid_of docker && netns_is_of "$REPLY" &&
    [[ $(curl -s --max-time 3 --unix-socket "$(docker_socket)" http://docker/_ping) == OK ]]
}

docker_start() {
  local started
  started=$(now)
  if docker_answers; then
    step docker "up on $(docker_socket)" "$started"
    return 0
  fi
  registry_stop
  docker_stop
  netns_make
  docker_configure
  dockerd_launch docker "$netns" "$netns"
  wait_ready docker 60 docker_answers ||
    fail_with_log docker "dockerd does not answer on $(docker_socket)" "read the lines above; ./dev reset starts with an empty dockerd"
  step docker "started on $(docker_socket)" "$started"
}

# dockerd_launch NAME HOST-NAME NETNS ARGUMENTS…   Its socket, data and record are called NAME.
dockerd_launch() {
  local name=$1 host_name=$2 network=$3
  shift 3
  mkdir -p "$dev_dir/$name"
  # nsenter and not `ip netns exec`, which remounts /sys and so loses the cgroups.
  launch_as_root "$name" \
    env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    nsenter "--net=/run/netns/$network" unshare --mount --uts --pid --fork --kill-child \
    bash "$dev_d/exec/recorded.sh" "$pid_dir/$name" bash "$dev_d/exec/docker-init.sh" "$host_name" \
    --config-file "$dev_dir/docker/daemon.json" --data-root "$dev_dir/$name/data" --cgroup-parent "/$host_name" \
    -H "unix://$run_dir/$name.sock" --group "$(id -g)" "$@"
}

docker_configure() {
  mkdir -p "$dev_dir/docker"
  # cgroupfs: with systemd's driver --cgroup-parent would have to be the name of a slice.
  # dns: an address where nobody listens; Docker's own choice are public servers, which no test may ask. (On an overlay an unknown name
  # still costs its client 5 s: Docker's resolver, given no answer, gives none.)
  cat >"$dev_dir/docker/daemon.json" <<END
{
  "no-new-privileges": true,
  "exec-opts": ["native.cgroupdriver=cgroupfs"],
  "dns": ["$netns_address"],
  "log-opts": { "max-size": "10m", "max-file": "2" }
}
END
}

docker_stop() {
  node_stop
  # dockerd gives its containers 15 s to end.
  end_process docker TERM 25
  cgroups_remove "$netns"
}

# cgroups_remove PREFIX   A killed dockerd leaves the cgroups of its containers; empty ones only can be removed, which is the point.
cgroups_remove() {
  local directory
  while read -r directory; do
    as_root find "$directory" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done < <(find /sys/fs/cgroup -maxdepth 2 -type d -name "$1*" 2>/dev/null)
}
