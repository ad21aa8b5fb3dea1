# An image registry on loopback inside dockerd's network namespace, without accounts: the tests of digest resolution push to it.
# dockerd trusts plain HTTP on 127.0.0.0/8; always our own configuration, as Debian's listens on every interface.

registry_address=127.0.0.1:5000

registry_answers() {
  is_running registry &&
    as_root nsenter "--net=$(netns_path)" curl -sf --max-time 3 -o /dev/null "http://$registry_address/v2/"
}

registry_start() {
  local started home="$state_dir/registry" user
  started=$(now)
  if registry_answers; then
    step registry "up on $registry_address of dockerd's network" "$started"
    return 0
  fi
  registry_stop
  service_directory docker-registry "$home"
  cat >"$home/config.yml" <<END
version: 0.1
log: { level: warn, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $home/images }, delete: { enabled: true } }
http: { addr: $registry_address }
END
  # Root is needed to enter the namespace, and given up again before the registry runs.
  user=$(service_user docker-registry)
  launch_as_root registry nsenter "--net=$(netns_path)" \
    setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups env -i "HOME=$home" PATH=/usr/bin:/bin \
    docker-registry serve "$home/config.yml"
  wait_ready registry 20 registry_answers ||
    fail_with_log registry "it does not answer on $registry_address in the namespace $netns" "read the lines above; ./dev reset starts with an empty one"
  step registry "started on $registry_address of dockerd's network" "$started"
}

registry_stop() { end_process registry; }
