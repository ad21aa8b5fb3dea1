# Installs what is missing, and only that.

# What must be there | the Debian packages that bring it.
# dockerd, not docker: a client alone may be on PATH, of another version.
requirements=(
  'postgres_programs|postgresql'
  'test -x /usr/lib/rabbitmq/bin/rabbitmq-server|rabbitmq-server'
  'command -v dockerd|docker.io'
  'command -v ip|iproute2'
  'command -v iptables|iptables'
  'command -v docker-registry|docker-registry'
  'command -v shellcheck|shellcheck'
  'command -v curl|curl'
  'command -v cc|gcc libc6-dev'
)

# packages_missing REQUIREMENT…
packages_missing() {
  local requirement
  for requirement in "$@"; do
    ${requirement%%|*} >/dev/null 2>&1 || printf '%s ' "${requirement#*|}"
  done
}

# install_missing REQUIREMENT…
install_missing() {
  local started missing
  started=$(now)
  missing=$(packages_missing "$@")
  missing=${missing% }
  [[ -n $missing ]] || return 0
  command -v apt-get >/dev/null ||
    fail "this system has no apt: install what these Debian packages hold, then run again: $missing"
  local packages
  read -ra packages <<<"$missing"
  : >"$log_dir/install.log"
  as_root bash "$dev_d/exec/apt-install.sh" "$log_dir/install.log" "${packages[@]}" ||
    fail_with_log install "apt-get could not install $missing" "sudo apt-get install $missing"
  hash -r
  missing=$(packages_missing "$@")
  [[ -z $missing ]] || fail_with_log install "apt-get installed ${packages[*]}, yet something of these is missing: $missing" "report this"
  step install "${packages[*]}" "$started"
}
