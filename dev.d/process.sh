# Our background processes. Each has a record, in pid_dir: boot id, pid, start time. A pid alone comes back, after a reboot or
# a long day, as somebody else's process; the three together do not.

read -r boot_id </proc/sys/kernel/random/boot_id

# pid_of NAME  Sets REPLY to the pid of the running process, or fails.
pid_of() {
  local boot pid started stat fields
  REPLY=
  { read -r boot pid started <"$pid_dir/$1"; } 2>/dev/null || return 1
  [[ $boot == "$boot_id" ]] || return 1
  { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }"
  # Z: killed, and nobody has waited for it yet.
  [[ ${fields[0]} != Z && ${fields[19]} == "$started" ]] || return 1
  REPLY=$pid
}

is_running() { pid_of "$1"; }

# launch NAME COMMAND…   `launch_as_root` is the same under sudo.
launch() { launch_with env "$@"; }
launch_as_root() { launch_with as_root "$@"; }
launch_with() {
  local i prefix=$1 name=$2 log="$log_dir/$2.log"
  shift 2
  rm -f "$pid_dir/$name"
  # One log for each start, and the one before it: what failed is at the end of a short file.
  if [[ -s $log ]]; then mv -f "$log" "$log.old"; fi
  (umask 077 && : >"$log")
  "$prefix" bash "$dev_d/exec/daemon.sh" "$pid_dir/$name" "$log" "$@"
  for ((i = 0; i < 200; i++)); do
    [[ -e $pid_dir/$name ]] && return 0
    sleep 0.02
  done
  return 1
}

# wait_ready NAME SECONDS PROBE…   Fails at once when the process ends.
wait_ready() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    is_running "$name" || return 1
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# wait_gone NAME SECONDS
wait_gone() {
  local deadline=$((SECONDS + $2))
  while is_running "$1"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# end_process NAME [SIGNAL [SECONDS]]   Asks, waits, then insists. Succeeds when there is nothing to end.
end_process() {
  local name=$1 signal=${2:-TERM} seconds=${3:-15}
  if pid_of "$name"; then
    signal_process "$signal" "$REPLY"
    if ! wait_gone "$name" "$seconds" && pid_of "$name"; then
      signal_process KILL "$REPLY"
      wait_gone "$name" 10 || fail "$name (pid $REPLY) does not end, not even with SIGKILL"
    fi
  fi
  rm -f "$pid_dir/$name"
}

signal_process() {
  # It may have ended by itself in between; as root only where it is not ours to signal.
  kill -s "$1" "$2" 2>/dev/null || { [[ -e /proc/$2 ]] && as_root kill -s "$1" "$2"; } || true
}

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
