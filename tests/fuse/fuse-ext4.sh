#!/bin/bash
# SPDX-License-Identifier: MIT
# An ext4 file system made on p1 of a fresh chain of depth 5 takes a tree, and
# after a new mount has it, whole and clean.
. "$(dirname "$0")/lib.sh"
requires mkfs.ext4 e2fsck debugfs sfdisk

vhdtool create c0.vhdx 96M >/dev/null
partitioned c0.vhdx
for i in 1 2 3 4 5; do
	vhdtool create --parent c$((i - 1)).vhdx c$i.vhdx >/dev/null
done
mkdir tree
for i in $(seq 50); do
	mkdir -p tree/d$((i % 7))
	pattern $i $((i * 4321)) >tree/d$((i % 7))/f$i
done
mount_it c5.vhdx m
equal layers "$(grep -c '"depth"' m/info.json)" 6
mkfs.ext4 -q -d tree m/p1 || fail "mkfs.ext4"
unmount_it m
sound c0.vhdx c5.vhdx
mount_it -o ro c5.vhdx m
e2fsck -fn m/p1 >out 2>&1 || { cat out; fail "e2fsck"; }
debugfs -R "rdump / ." m/p1 >out 2>&1
diff -r tree/d3 d3 || fail "content"
for i in 0 1 2 3 4 5 6; do
	diff -r tree/d$i d$i || fail "content"
done
unmount_it m
