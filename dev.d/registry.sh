# Two image registries on loopback inside dockerd's network namespace, for the tests of digests, logins and pulls: one for everybody, and
# one that shows nothing to who does not log in. dockerd trusts plain HTTP on 127.0.0.0/8; always our own configuration, as Debian's
# listens on every interface.

registry_address=127.0.0.1:5000
private_registry_address=127.0.0.1:5001
# The one account of the private one: on loopback of a namespace, for tests. The hash is bcrypt's of the password.
private_registry_login=acme:correct-horse-battery
# shellcheck disable=SC2016
private_registry_hash='$2b$05$b3sFfUGByojciIjvlD.6/eW0MiGOpOIEkY0D1lpfLDj2JF1DsYTBW'

# registry_answers NAME ADDRESS: it does, be it to send us away.
registry_answers() {
  local status
  is_running "$1" || return 1
  status=$(as_root nsenter "--net=$(netns_path)" curl -s --max-time 3 -o /dev/null -w '%{http_code}' "http://$2/v2/") || return 1
  [[ $status == 200 || $status == 401 ]]
}

# registry_launch NAME ADDRESS [LINE OF CONFIGURATION]
registry_launch() {
  local started name=$1 address=$2 home="$state_dir/$1" user
  started=$(now)
  if registry_answers "$name" "$address"; then
    step "$name" "up on $address of dockerd's network" "$started"
    return 0
  fi
  end_process "$name"
  service_directory docker-registry "$home"
  cat >"$home/config.yml" <<END
version: 0.1
log: { level: warn, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $home/images }, delete: { enabled: true } }
http: { addr: $address }
${3-}
END
  # Root is needed to enter the namespace, and given up again before the registry runs.
  user=$(service_user docker-registry)
  launch_as_root "$name" nsenter "--net=$(netns_path)" \
    setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups env -i "HOME=$home" PATH=/usr/bin:/bin \
    docker-registry serve "$home/config.yml"
  wait_ready "$name" 20 registry_answers "$name" "$address" ||
    fail_with_log "$name" "it does not answer on $address in the namespace $netns" "read the lines above; ./dev reset starts with an empty one"
  step "$name" "started on $address of dockerd's network" "$started"
}

registry_start() {
  local users="$state_dir/private-registry/users"
  registry_launch registry "$registry_address"
  service_directory docker-registry "$state_dir/private-registry"
  printf '%s:%s\n' "${private_registry_login%%:*}" "$private_registry_hash" >"$users"
  registry_launch private-registry "$private_registry_address" "auth: { htpasswd: { realm: skep, path: $users } }"
}

registry_stop() {
  end_process registry
  end_process private-registry
}
