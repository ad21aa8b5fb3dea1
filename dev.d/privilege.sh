# Who does what: root only for apt, the network namespace and dockerd; the other services never run as root.

as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    command -v sudo >/dev/null || fail "this step needs root: install sudo, or run ./dev as root"
    sudo -- "$@"
  fi
}

# Asks for the password once, before steps run side by side in the background where nobody can type.
become_root_early() {
  ((EUID == 0)) || sudo -n true 2>/dev/null || as_root true
}

# service_user NAME  Root drops to the user of the Debian package; anybody else is the user already.
service_user() {
  if ((EUID == 0)); then printf '%s' "$1"; else id -un; fi
}

# as_service NAME HOME   Sets `service` to the words that run a command as that user, with an environment of its own:
# PG*, RABBITMQ_* and ERL_* of the caller's would leak in.
as_service() {
  local user
  user=$(service_user "$1")
  service=(env -i "HOME=$2" PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8)
  if ((EUID == 0)); then
    service=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups "${service[@]}")
  fi
}

# service_directory NAME DIRECTORY  Private to that user.
service_directory() {
  [[ -d $2 ]] || install -d -m 0700 "$2"
  if ((EUID == 0)); then chown "$(service_user "$1"):" "$2"; fi
}
