# ./dev logs [-f] [NAME]   API and worker without a name.

command_logs() {
  local follow='' names=() name files=() filter=cat
  for name in "$@"; do
    case $name in
      -f) follow=yes ;;
      api | worker | postgres | rabbitmq | docker | registry | private-registry | node | vm) names+=("$name") ;;
      *) fail "logs: $name is none of api, worker, postgres, rabbitmq, docker, registry, private-registry, node, vm" ;;
    esac
  done
  if ((${#names[@]} == 0)); then names=(api worker); fi
  for name in "${names[@]}"; do
    [[ -r $log_dir/$name.log ]] || fail "no log of $name yet"
    files+=("$log_dir/$name.log")
    if holds_keys "$name"; then filter=without_keys; fi
  done
  # -F and not -f: a restart begins a new file under the same name.
  tail -n 40 ${follow:+-F} "${files[@]}" | "$filter"
}
