# This checkout's own names, ports and directories, so that two checkouts on one machine never meet.
# Chosen once and recorded in .dev/instance; everything else reads them from there.

dev_dir="$root/.dev"
log_dir="$dev_dir/log"
instance_file="$dev_dir/instance"
operator_token_file="$dev_dir/operator-token"
sealing_keyring_file="$dev_dir/sealing-keyring"

# What may run as a process of ours, in the order in which it is ended.
processes=(fuzz api worker registry private-registry node rig1 rig2 rig3 vm docker rabbitmq epmd postgres)

# Fails when no instance is recorded; names and directories are set all the same.
instance_load() {
  local recorded=''
  instance_choose_directories
  if [[ -r $instance_file ]]; then
    recorded=yes
    # shellcheck source=/dev/null
    source "$instance_file"
    pid_dir="$run_dir/pid"
    # With a copied .dev two checkouts would share ports, and the copy of a running Postgres is no Postgres.
    [[ $instance_root == "$root" ]] ||
      fail "$dev_dir belongs to the checkout at $instance_root (was it copied or moved?): end what runs there, remove $dev_dir here, run again"
  fi
  run_directory_check
  [[ -n $recorded ]]
}

# Loads the instance, or makes it.
instance_ensure() {
  if ! instance_load; then
    directories_ensure
    # .dev was removed under running services (git clean -xfd): they serve files that are gone.
    processes_end_now
    instance_choose_ports
    instance_write
  elif ! instance_runs && instance_port_taken; then
    instance_choose_ports
    instance_write
  fi
  directories_ensure
}

processes_end_now() {
  local name
  for name in "${processes[@]}"; do end_process "$name" KILL; done
}

instance_runs() {
  local name
  for name in "${processes[@]}"; do
    if is_running "$name"; then return 0; fi
  done
  return 1
}

# Data stays with the checkout, except where root runs us and the services' users cannot reach it (a checkout under /root).
# Sockets and pids: a socket's path must stay under 108 bytes, so their directory is short, wherever the checkout is; and it is found
# again when .dev is lost, because it follows from the checkout's path alone.
instance_choose_directories() {
  local user
  instance_id=$(printf '%s' "$root" | sha256sum)
  instance_id=${instance_id:0:8}
  netns="skep-$instance_id"
  state_dir="$dev_dir/state"
  if ((EUID == 0)); then
    run_dir="/run/skep-dev/$instance_id"
  else
    run_dir="/tmp/skep-dev-$instance_id"
  fi
  pid_dir="$run_dir/pid"
  if ((EUID != 0)) || [[ -e $instance_file ]]; then return 0; fi
  for user in postgres rabbitmq docker-registry; do
    if id "$user" >/dev/null 2>&1 && ! setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups test -x "$root"; then
      state_dir="/var/lib/skep-dev/$instance_id"
    fi
  done
}

# Twenty ports below the range that the kernel hands out (32768 and up); the next block when one is taken.
instance_choose_ports() {
  local tries block=$((16#$instance_id % 600))
  for ((tries = 0; tries < 600; tries++)); do
    instance_set_ports $((20000 + 20 * ((block + tries) % 600)))
    if ! instance_port_taken; then return 0; fi
  done
  fail "no free ports between 20000 and 32000"
}

instance_set_ports() {
  postgres_port=$1
  amqp_port=$(($1 + 1))
  erlang_port=$(($1 + 2))
  epmd_port=$(($1 + 3))
  api_port=$(($1 + 4))
}

instance_port_taken() {
  local port
  for port in "$postgres_port" "$amqp_port" "$erlang_port" "$epmd_port" "$api_port"; do
    if port_answers "$port"; then return 0; fi
  done
  return 1
}

# port_ensure_free NAME PORT   Called with ours ended: or whatever answers there would be taken for the service that we start.
port_ensure_free() {
  if port_answers "$2"; then
    fail "$1: something else listens on 127.0.0.1:$2; run ./dev down, and the next start chooses other ports"
  fi
}

instance_write() {
  {
    printf '# Written by ./dev: the private instances of this checkout. "./dev reset" removes them.\n'
    printf '%s=%q\n' instance_root "$root" instance_id "$instance_id" netns "$netns" state_dir "$state_dir" run_dir "$run_dir" \
      postgres_port "$postgres_port" amqp_port "$amqp_port" erlang_port "$erlang_port" epmd_port "$epmd_port" api_port "$api_port"
  } >"$instance_file.new"
  mv -f "$instance_file.new" "$instance_file"
}

# In /tmp anybody may have made the name first, with records of processes that we would then end.
run_directory_check() {
  [[ ! -e $run_dir && ! -L $run_dir ]] || [[ -O $run_dir && ! -L $run_dir ]] ||
    fail "$run_dir belongs to somebody else (did another user run ./dev here?)"
}

# A reboot empties /run and /tmp.
directories_ensure() {
  [[ -d $pid_dir ]] || (umask 022 && mkdir -p "$pid_dir")
  [[ -d $state_dir ]] || (umask 022 && mkdir -p "$state_dir")
}
