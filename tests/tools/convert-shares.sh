#!/bin/bash
# SPDX-License-Identifier: MIT
# Where the host file system shares extents, convert copies no data: the target
# takes no space of its own. Where source and target are on two file systems it
# copies.
. "$(dirname "$0")/lib.sh"
requires qemu-img

make_fs() # FILE: or skips
{
	truncate -s 600M "$1"
	if command -v mkfs.xfs >/dev/null; then
		mkfs.xfs -q -m reflink=1 "$1"
	elif command -v mkfs.btrfs >/dev/null; then
		mkfs.btrfs -q "$1"
	else
		skip "neither mkfs.xfs nor mkfs.btrfs is installed"
	fi
}

for fs in one two; do
	make_fs $fs.fs
	mkdir $fs
	mount -o loop $fs.fs $fs 2>/dev/null || skip "may not mount"
	at_exit "umount '$tmp/$fs'"
done
used() { df --output=used -B1 "$1" | tail -n 1; }

pattern 1 100000000 >one/src.raw
truncate -s 200M one/src.raw
vhdtool convert --block-size 1M one/src.raw one/src.vhdx >/dev/null
sync -f one
for src in src.raw src.vhdx; do
	for dst in a.raw a.vhdx; do
		before=$(used one)
		status 0 vhdtool convert one/$src one/$dst
		sync -f one
		took=$(($(used one) - before))
		[ $took -le 20000000 ] || fail "$src to $dst took $took bytes"
		status 0 vhdtool compare --strict one/$src one/$dst
		sound one/$dst
		status 0 vhdtool convert one/$src two/$dst
		status 0 vhdtool compare --strict one/$src two/$dst
		rm one/$dst two/$dst
	done
done
