# ./dev bench [deploy]   The benchmarks start their own API and worker, built for release.

command_bench() {
  set_up_lock
  services_up
  build_workspace --release
  build_images
  set_up_unlock
  exec "$(built bench release)" "$@"
}
