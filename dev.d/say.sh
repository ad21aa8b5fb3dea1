# What the person at the terminal reads: one line for each step, and on failure the end of the right log.

now() { printf '%s' "${EPOCHREALTIME/[.,]/}"; }

# seconds_since START  (START from `now`, microseconds)
seconds_since() {
  local tenths=$((($(now) - $1 + 50000) / 100000))
  printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# step NAME TEXT START
step() {
  printf '%-10s %-52s %6s s\n' "$1" "$2" "$(seconds_since "$3")"
}

fail() {
  printf 'dev: %s\n' "$*" >&2
  exit 1
}

# dockerd prints keys of encrypted networks and join tokens: such lines never leave its log.
without_keys() {
  grep --line-buffered -viE 'key|aes|aead|spi[ =:]|swmtkn|secret|token|passw'
}

# holds_keys NAME   Whether a dockerd writes that log; that of the virtual machine is written by two.
holds_keys() { [[ $1 =~ ^(docker|node|vm|rig[0-9])$ ]]; }

# tail_of NAME [LINES]
tail_of() {
  local log="$log_dir/$1.log" lines=${2:-40}
  [[ -r $log ]] || return 0
  if holds_keys "$1"; then
    tail -n "$lines" "$log" | without_keys || true
  else
    tail -n "$lines" "$log"
  fi
}

# fail_with_log NAME TEXT NEXT  One write, because steps that run side by side may fail together.
fail_with_log() {
  printf '%s\n' "$(
    printf '%-10s FAILED: %s\n' "$1" "$2"
    tail_of "$1" | sed 's/^/  | /'
    printf '%-10s log: %s\n%-10s next: %s\n' '' "$log_dir/$1.log" '' "$3"
  )" >&2
  exit 1
}
