#!/bin/sh
# /init of the initrd, for busybox: finds the disk and hands over to init.sh. Where it fails, the kernel panics, and qemu ends.
set -eu
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
while read -r module; do
  insmod "/modules/$module"
done </modules/order
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 -o noatime,noinit_itable /dev/vda /root
mount -o move /dev /root/dev
mount -t tmpfs -o mode=0755 run /root/run
cp -r /guest /root/run/guest
exec switch_root /root /bin/bash /run/guest/init.sh
