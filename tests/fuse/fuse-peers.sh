#!/bin/bash
# SPDX-License-Identifier: MIT
# The same image through qemu-storage-daemon's FUSE export, through vhdimount
# and through vhdfuse is the same, byte by byte.
. "$(dirname "$0")/lib.sh"

sparse_pattern raw
vhdtool convert --to vhdx raw d.vhdx >/dev/null
mount_it -o ro d.vhdx m
cmp m/disk raw || fail "vhdfuse"
tried=
if command -v vhdimount >/dev/null; then
	mkdir v
	if vhdimount d.vhdx v >out 2>&1; then
		at_exit "umount v"
		cmp m/disk v/vhdi1 || fail "vhdimount differs"
		umount v
		tried+=" vhdimount"
	fi
fi
unmount_it m
if command -v qemu-storage-daemon >/dev/null; then
	touch q
	qemu-storage-daemon --blockdev \
		driver=vhdx,node-name=v,file.driver=file,file.filename=d.vhdx \
		--export type=fuse,id=e,node-name=v,mountpoint=q >out 2>&1 &
	qemu=$!
	at_exit "kill $qemu 2>/dev/null"
	until mountpoint -q q || ! kill -0 $qemu 2>/dev/null; do
		sleep 0.05
	done
	if mountpoint -q q; then
		mount_it -o ro d.vhdx m2
		cmp m2/disk q || fail "qemu-storage-daemon differs"
		unmount_it m2
		kill $qemu
		ended $qemu
		tried+=" qemu-storage-daemon"
	fi
fi
[ -n "$tried" ] || skip "neither vhdimount nor qemu-storage-daemon works here"
echo "compared with$tried"
