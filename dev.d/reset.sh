# Back to a checkout that never ran ./dev: ends everything and removes the data. The caller's own instances are not touched.

command_reset() {
  if ! instance_load; then
    [[ ! -e $dev_dir ]] || fail "$dev_dir has no record of an instance: look at what is in it, and remove it yourself"
    if [[ ! -e $run_dir && ! -e $state_dir ]]; then
      printf 'nothing to reset\n'
      return 0
    fi
  fi
  set_up_lock
  reset_check
  down
  local started
  started=$(now)
  # --one-file-system: should something still be mounted in there, what is behind it is not ours to remove.
  as_root rm -rf --one-file-system "$state_dir" "$run_dir" "$dev_dir"
  step reset "removed the data of $instance_id" "$started"
  set_up_unlock
}

# `rm -rf` believes nothing that is merely written in a file: only the places that we would choose ourselves.
reset_check() {
  [[ $instance_id =~ ^[0-9a-f]{8}$ ]] || fail "$instance_file: instance_id=$instance_id is not one of ours; nothing removed"
  [[ $state_dir == "$dev_dir/state" || $state_dir == "/var/lib/skep-dev/$instance_id" ]] ||
    fail "$instance_file: state_dir=$state_dir is not one of ours; nothing removed"
  [[ $run_dir == "/run/skep-dev/$instance_id" || $run_dir == "/tmp/skep-dev-$instance_id" ]] ||
    fail "$instance_file: run_dir=$run_dir is not one of ours; nothing removed"
}
