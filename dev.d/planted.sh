# Tests plant values in secrets. Afterwards they must stand nowhere on the disk of what they went through: Postgres (its write-ahead log
# included), RabbitMQ, logs; neither as they are, nor in hexadecimal, nor in base64.

# All of them begin with `planted-`. In base64 that looks like one of three, by how many bytes are before it.
planted_forms='planted-|706[cC]616[eE]7465642[dD]|cGxhbnRlZC|BsYW50ZWQt|wbGFudGVkL'
# The name of a secret that has one: in Postgres's files, or nothing was searched.
planted_name='db-password'

planted_scan() {
  local started found place places=()
  started=$(now)
  for place in "$state_dir/postgres" "$state_dir/rabbitmq" "$log_dir"; do
    if as_root test -d "$place"; then places+=("$place"); fi
  done
  if found=$(as_root grep -rlaE "$planted_forms" "${places[@]}"); then
    printf '%s\n' "$found"
    fail "a value that a test planted in a secret stands in these files"
  fi
  if [[ -d $state_dir/postgres ]] && ! as_root grep -rqaF "$planted_name" "$state_dir/postgres"; then
    step planted "no test planted anything" "$started"
    return 0
  fi
  step planted "no planted value in $(as_root du -shc "${places[@]}" | tail -1 | cut -f1) of Postgres, RabbitMQ and logs" "$started"
}
