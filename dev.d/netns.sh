# The network namespace of our dockerd. It has no way out: a container on an ordinary overlay also sits on docker_gwbridge and would
# route what it does not know to wherever the machine routes. Inside are loopback and one address on a veth pair whose two ends both
# stay inside, so that Swarm finds exactly one address to advertise.

# 198.51.100.0/24 is for documentation: no network that anybody uses, and outside of what Docker or Skep hand out.
netns_address=198.51.100.1

netns_path() { printf '/run/netns/%s' "$netns"; }

# Made anew for each dockerd: one that was killed leaves its bridges, VXLANs and addresses behind.
netns_make() {
  netns_remove
  as_root ip netns add "$netns"
  as_root ip -n "$netns" -batch - <<END
link set lo up
link add skep0 type veth peer name skep1
address add $netns_address/30 dev skep0
link set skep0 up
link set skep1 up
END
}

netns_remove() {
  if [[ -e $(netns_path) ]]; then as_root ip netns delete "$netns"; fi
}

# The name may be gone, or newly made, while dockerd still lives in the old one.
netns_is_of() {
  [[ -e $(netns_path) ]] && as_root test "$(netns_path)" -ef "/proc/$1/ns/net"
}
