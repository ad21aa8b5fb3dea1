# A virtual machine for what this machine's kernel may lack: IPVS (virtual addresses of services, the routing mesh) and ESP (encrypted
# overlays). Two dockerds run in it, as nodes of one network, and their sockets are here: what they are asked is the tests' business.
# Emulated, because a machine in a machine has no hardware for it: slow, and the same everywhere.

vm_nodes=2

vm_requirements=(
  'command -v qemu-system-x86_64|qemu-system-x86'
  'command -v mmdebstrap|mmdebstrap'
  'test -e /usr/share/keyrings/debian-archive-keyring.gpg|debian-archive-keyring'
  'command -v mkfs.ext4|e2fsprogs'
  'command -v cpio|cpio'
  'command -v socat|socat'
)

vm_socket() { printf '%s/vm%s.sock' "$run_dir" "$1"; }
vm_netns() { printf '%s-vm' "$netns"; }
vm_dir() { printf '%s/vm' "$dev_dir"; }

# Only here and not with the rest of what ./dev installs: most never start this machine.
vm_install() { install_missing "${vm_requirements[@]}"; }

# Once, and again when what makes it has changed.
vm_image_ensure() {
  local started made_of directory
  started=$(now)
  directory=$(vm_dir)
  made_of=$(sha256sum <"$dev_d/exec/vm-image.sh")
  if [[ -r $directory/made-of && $(<"$directory/made-of") == "$made_of" ]]; then return 0; fi
  as_root rm -rf --one-file-system "$directory"
  mkdir -p "$directory"
  as_root bash "$dev_d/exec/vm-image.sh" "$directory" >"$log_dir/vm-image.log" 2>&1 9>&- ||
    fail_with_log vm-image "the image of the virtual machine could not be made" "read the lines above; it needs Debian's mirror"
  printf '%s\n' "$made_of" >"$directory/made-of"
  step vm-image "made in $directory" "$started"
}

# Always from nothing: the disk is a copy that is thrown away.
vm_start() {
  local started node sockets=()
  started=$(now)
  vm_stop
  vm_initrd_make
  vm_netns_make
  for ((node = 1; node <= vm_nodes; node++)); do sockets+=("$(vm_socket "$node")"); done
  # Root enters the namespaces; qemu runs as the user who calls.
  launch_as_root vm \
    env -i HOME=/ PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    nsenter "--net=/run/netns/$(vm_netns)" unshare --pid --fork --kill-child \
    bash "$dev_d/exec/recorded.sh" "$pid_dir/vm" setpriv "--reuid=$(id -u)" "--regid=$(id -g)" --clear-groups \
    bash "$dev_d/exec/vm-run.sh" "$(vm_dir)" "${sockets[@]}"
  wait_ready vm 180 vm_answers ||
    fail_with_log vm "the dockerds in the virtual machine do not answer on $run_dir/vm*.sock" "read the lines above"
  step vm "$vm_nodes nodes on $run_dir/vm*.sock" "$started"
}

# The guest's network card ends in a namespace where nothing else is: whatever it sends, nobody hears and nothing forwards.
# 198.51.100.0/24 is for documentation; the guest is .2.
vm_netns_make() {
  as_root ip netns add "$(vm_netns)"
  as_root ip -n "$(vm_netns)" tuntap add dev vm mode tap user "$(id -u)"
  as_root ip -n "$(vm_netns)" -batch - <<'END'
address add 198.51.100.1/30 dev vm
link set vm up
END
}

vm_answers() {
  local node
  is_running vm || return 1
  for ((node = 1; node <= vm_nodes; node++)); do
    [[ $(curl -s --max-time 3 --unix-socket "$(vm_socket "$node")" http://docker/_ping) == OK ]] || return 1
  done
}

# The kernel unpacks one archive after the other: the image's own, then the guest's scripts as they are now.
vm_initrd_make() {
  local directory scripts
  directory=$(vm_dir)
  scripts=$(mktemp -d)
  mkdir "$scripts/guest"
  install -m 0755 "$dev_d/vm/initrd.sh" "$scripts/init"
  cp "$dev_d/vm/init.sh" "$dev_d/exec/docker-init.sh" "$scripts/guest/"
  cp "$directory/initrd.cpio" "$directory/initrd"
  (cd "$scripts" && find . | cpio --quiet --create --format newc --owner 0:0) >>"$directory/initrd"
  rm -rf "$scripts"
}

# A power cut: nothing in there is to be kept. The record's process is pid 1 of all that belongs to it.
vm_stop() {
  local node
  end_process vm KILL 10
  rig_netns_remove "$(vm_netns)"
  for ((node = 1; node <= vm_nodes; node++)); do rm -f "$(vm_socket "$node")"; done
}
