#!/bin/bash
# SPDX-License-Identifier: MIT
# A disk of 4096 byte sectors works through losetup --sector-size.
. "$(dirname "$0")/lib.sh"
requires losetup mkfs.ext4 e2fsck sfdisk jq
[ "$(id -u)" = 0 ] || skip "only root has loop devices"

vhdtool create --sector-size 4096 d.vhdx 64M >/dev/null
mount_it d.vhdx m
loop=$(losetup -f --show --sector-size 4096 m/disk 2>err) ||
	skip "no loop device: $(cat err)"
at_exit "losetup -d $loop 2>/dev/null"
equal sector "$(blockdev --getss $loop)" 4096
echo 'label: gpt
start=256' | sfdisk -q --no-reread $loop 2>err || { cat err; fail sfdisk; }
losetup -d $loop
equal offset "$(jq -c .partitions[0].offset m/info.json)" 1048576
[ "$(stat -c %s m/p1)" -gt $((60 * 1048576)) ] || fail "the size of p1"
mkfs.ext4 -q -b 4096 m/p1
e2fsck -fn m/p1 >out 2>&1 || { cat out; fail e2fsck; }
unmount_it m
sound d.vhdx
