# ./dev demo   Everything set up, then the story, told by a Rust program through the public API.

command_demo() {
  local lines
  set_up_lock
  up
  set_up_unlock
  lines=$(command_env)
  eval "$lines"
  exec "$(built demo)" "$@"
}
