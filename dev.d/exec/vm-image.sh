#!/usr/bin/env bash
# vm-image.sh DIRECTORY   As root. Makes what the virtual machine boots from: root.img, vmlinuz and initrd.cpio. The guest's own scripts
# are not in there (vm.sh hands them over at each start): only a change of this file costs a new image.
set -euo pipefail
directory=$1
tree="$directory/tree"

# The kernel is why there is a machine at all: Debian's, with IPVS and ESP. iptables and what follows it are what tests look with.
packages=(linux-image-cloud-amd64 kmod busybox-static docker.io iproute2 socat iptables ipvsadm conntrack tcpdump procps)

# Without the hooks that would make an initrd of many drivers and tell a boot loader; both are not wanted, and slow.
mmdebstrap --variant=minbase "--include=$(IFS=, && printf '%s' "${packages[*]}")" --aptopt='Acquire::Languages "none"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/etc/kernel/postinst.d/*' \
  bookworm "$tree"

# mmdebstrap leaves those of the machine that it ran on.
: >"$tree/etc/resolv.conf"
printf 'vm\n' >"$tree/etc/hostname"

install -m 0644 "$tree"/boot/vmlinuz-* "$directory/vmlinuz"
kernel=$(ls "$tree/lib/modules")

# The initrd: a shell, and what is needed to see the disk, in the order in which it loads. ext4 is in the kernel.
mkdir -p "$directory"/initrd/{bin,dev,modules,root}
cp "$tree/bin/busybox" "$directory/initrd/bin/"
ln -s busybox "$directory/initrd/bin/sh"
for driver in virtio_pci virtio_blk; do
  chroot "$tree" modprobe --set-version "$kernel" --show-depends "$driver"
done | while read -r verb path _; do
  [[ $verb == insmod && ! -e $directory/initrd/modules/${path##*/} ]] || continue
  cp "$tree$path" "$directory/initrd/modules/"
  printf '%s\n' "${path##*/}" >>"$directory/initrd/modules/order"
done
(cd "$directory/initrd" && find . | cpio --quiet --create --format newc --owner 0:0) >"$directory/initrd.cpio"

# Sparse. No journal: each start works on a copy that is thrown away.
truncate --size 8G "$directory/root.img"
mkfs.ext4 -q -F -O ^has_journal -d "$tree" "$directory/root.img"
rm -rf --one-file-system "$tree" "$directory/initrd"
