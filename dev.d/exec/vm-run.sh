#!/usr/bin/env bash
# vm-run.sh DIRECTORY SOCKET…   Pid 1 of a pid namespace with the virtual machine and the ways into it: when one ends, all end.
# SOCKET number N is port 2000 + N of the guest.
set -euo pipefail
directory=$1
shift

port=2000
for socket in "$@"; do
  port=$((port + 1))
  # -t: one direction may end long before the other (the input of `docker exec`); by itself socat waits half a second.
  socat -t 86400 "UNIX-LISTEN:$socket,fork,backlog=128,unlink-early,mode=0600" "TCP:198.51.100.2:$port" &
done

# tsc=reliable: the other clocks are emulated devices, which each look at the time would have to wait for.
# softlockup_panic: two emulated processors were once seen to wait for each other for ever. Better an end than a test that hangs.
# Without AVX: what has to be emulated is faster in small words.
# The copy that is thrown away lies beside the image: /tmp and /var/tmp may be small.
TMPDIR=$directory qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -serial stdio \
  -machine q35 -accel tcg,thread=multi -cpu max,-avx,-avx2 -smp 2 -m 3G \
  -drive "file=$directory/root.img,if=none,id=disk,format=raw,snapshot=on,cache=unsafe" -device virtio-blk-pci,drive=disk \
  -netdev tap,id=way-in,ifname=vm,script=no,downscript=no -device virtio-net-pci,netdev=way-in,romfile= \
  -kernel "$directory/vmlinuz" -initrd "$directory/initrd" \
  -append 'console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable softlockup_panic=1 watchdog_thresh=30' &

wait -n || true
exit 1
