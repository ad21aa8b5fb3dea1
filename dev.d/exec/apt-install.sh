#!/usr/bin/env bash
# apt-install.sh LOG PACKAGE…   As root. Installs, but starts nothing machine-wide: Debian's packages would start a Postgres,
# a RabbitMQ and a dockerd of the machine's own, which nobody asked us for.
set -euo pipefail
log=$1
shift

# Two checkouts may install at once: the one that ends first must not take away the other's policy.
exec 8>/run/lock/skep-dev-apt.lock
flock 8

policy=/usr/sbin/policy-rc.d
mark='# written by skep ./dev for one apt-get run'
if [[ ! -e $policy ]] || grep -qF "$mark" "$policy"; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
  chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
apt() { apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1 8>&-; }
install() { apt install -y --no-install-recommends "$@"; }

# The lists may be absent (a container image) or name versions that the mirror has since replaced.
install "$@" || { apt update && install "$@"; }
