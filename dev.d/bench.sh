# ./dev bench [deploy|logins|logs|api|networks|faults] [--help]   The benchmarks start their own API and workers, built for release; the fault search at length.

command_bench() {
  # Help needs no services, and no build that takes minutes.
  case " $* " in
    *' --help '* | *' -h '*)
      build_workspace --bins
      exec "$(built bench debug)" "$@"
      ;;
  esac
  set_up_lock
  services_up
  build_workspace --release
  build_images
  set_up_unlock
  local programs
  if programs=$(postgres_programs); then export SKEP_PGBENCH="$programs/pgbench"; fi
  exec "$(built bench release)" "$@"
}
