#!/usr/bin/env bash
# Pid 1 of the virtual machine. Two nodes: dockerds in network namespaces of their own, joined by a bridge in another one, none with a way
# out. The first namespace has the network card that the Docker sockets are reached through, and no link to the others.
#
# What a test wants to know of node N it asks through Docker, with a container on that node and any image that is there:
#   docker -H unix://…/vmN.sock run --rm --privileged --network host \
#     -v /usr:/usr:ro -v /usr/bin:/bin:ro -v /usr/sbin:/sbin:ro -v /usr/lib:/lib:ro -v /usr/lib64:/lib64:ro -v /etc:/etc:ro \
#     --entrypoint /bin/bash IMAGE -c 'ip address; iptables -t mangle -S; ipvsadm -L -n; tcpdump -Z root -i eth0 -c 10'
# `--network host` is the node's namespace. A bind mount's source is looked up in the node's mount namespace: the machine's root with
# its tools, the node's own /run/docker (in /run/docker/netns the namespaces of its tasks and networks, for nsenter), /lib/modules.
set -euo pipefail
export HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
nodes=2
# 203.0.113.0/24 is for documentation: node N is .N. Nobody is .254.
network=203.0.113

# Whatever ends here, the machine ends, and whoever waits for it outside learns so. Not by returning: that would bury the reason in a panic.
trap 'printf b >/proc/sysrq-trigger' EXIT

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 cgroup /sys/fs/cgroup
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=0620,ptmxmode=0666 pts /dev/pts
mount -t tmpfs shm /dev/shm
ln -s /proc/self/fd /dev/fd
ulimit -n 65536

# Most would load by themselves when they are first used; br_netfilter would not, and a test should not measure the rest.
modprobe --all virtio_net overlay veth bridge br_netfilter vxlan ip_vs ip_vs_rr xt_ipvs xt_u32 xt_policy xt_mark xt_addrtype xt_conntrack \
  xt_nat xt_MASQUERADE xt_REDIRECT nft_compat nf_conntrack esp4 authenc gcm aesni_intel

# Here, and before any other namespace is made: they inherit it, those of Docker's networks too, whose virtual addresses and mesh would
# time out without.
printf 1 >/proc/sys/net/ipv4/ip_forward

ip -batch - <<'END'
link set lo up
address add 198.51.100.2/30 dev eth0
link set eth0 up
END
ip netns add bridge
ip -n bridge -batch - <<<$'link set lo up\nlink add bridge type bridge\nlink set bridge up'

# dns: an address where nobody listens; Docker's own choice are public servers.
cat >/run/daemon.json <<END
{
  "no-new-privileges": true,
  "exec-opts": ["native.cgroupdriver=cgroupfs"],
  "dns": ["$network.254"],
  "log-opts": { "max-size": "10m", "max-file": "2" }
}
END

node_start() {
  local node=$1
  ip netns add "node$node"
  ip -n bridge -batch - <<END
link add node$node type veth peer name eth0 netns node$node
link set node$node master bridge up
END
  ip -n "node$node" -batch - <<END
link set lo up
address add $network.$node/24 dev eth0
link set eth0 up
END
  # nsenter and not `ip netns exec`, which remounts /sys and so loses the cgroups.
  nsenter "--net=/run/netns/node$node" unshare --mount --uts --pid --fork --kill-child \
    bash /run/guest/docker-init.sh "vm$node" \
    --config-file /run/daemon.json --data-root "/var/lib/vm$node" --cgroup-parent "/vm$node" -H "unix:///run/vm$node.sock" \
    > >(sed -u "s/^/vm$node: /") 2>&1 &
  {
    until [[ -S /run/vm$node.sock ]]; do sleep 0.1; done
    exec socat -t 86400 "TCP-LISTEN:$((2000 + node)),bind=198.51.100.2,fork,backlog=128,reuseaddr" "UNIX-CONNECT:/run/vm$node.sock"
  } &
}

for ((node = 1; node <= nodes; node++)); do node_start "$node"; done
wait -n || true
# What it said last passes through a pipe.
sleep 1
