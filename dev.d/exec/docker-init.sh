#!/usr/bin/env bash
# docker-init.sh NAME DOCKERD-ARGUMENTS…   Pid 1 of dockerd's own pid, mount and host name namespaces: it reaps what containers leave
# behind, and when it is killed the kernel ends dockerd, containerd, shims and containers with it, like a power cut.
set -euo pipefail
name=$1
shift

mount -t proc proc /proc
hostname "$name"
ulimit -n "$(ulimit -H -n)"

# Private and empty: a dockerd of the machine's keeps its state under the same names, and ours would even adopt its containerd
# where it found /run/containerd/containerd.sock. As tmpfs they vanish with us: nothing is stale at the next start.
for directory in /run/docker /run/containerd; do
  mkdir -p "$directory"
  mount -t tmpfs -o mode=0755 tmpfs "$directory"
done

# Containers must not inherit the machine's name servers and search domains: they cannot be reached from in here.
if [[ -e /etc/resolv.conf ]]; then
  : >/run/docker/resolv.conf
  mount --bind /run/docker/resolv.conf /etc/resolv.conf
fi

dockerd --exec-root /run/docker --pidfile /run/docker/dockerd.pid "$@" &
dockerd=$!
trap 'kill -TERM "$dockerd"' TERM
status=0
# `wait` also returns for our trap, with dockerd still stopping its containers.
while kill -0 "$dockerd" 2>/dev/null; do
  wait "$dockerd" || status=$?
done
exit "$status"
