#!/bin/bash
# SPDX-License-Identifier: MIT
# The kernel's own ext4 on a loop device over p1: a tree copied in is there
# after a new mount, with the same sums.
. "$(dirname "$0")/lib.sh"
requires mkfs.ext4 e2fsck losetup sfdisk
[ "$(id -u)" = 0 ] || skip "only root has loop devices"

vhdtool create base.vhdx 96M >/dev/null
partitioned base.vhdx
vhdtool create --parent base.vhdx d.vhdx >/dev/null
mkdir tree fs
for i in $(seq 40); do
	pattern $i $((i * 5432)) >tree/f$i
done
mount_it d.vhdx m
loop=$(losetup -f --show m/p1 2>err) || skip "no loop device: $(cat err)"
at_exit "losetup -d $loop 2>/dev/null"
mkfs.ext4 -q $loop
mount $loop fs || skip "the kernel has no ext4"
at_exit "umount fs 2>/dev/null"
cp -r tree fs/
umount fs
losetup -d $loop
unmount_it m
sound d.vhdx
mount_it -o ro d.vhdx m
e2fsck -fn m/p1 >out 2>&1 || { cat out; fail "e2fsck"; }
mount -o loop,ro m/p1 fs
diff -r tree fs/tree || fail "content"
umount fs
unmount_it m
