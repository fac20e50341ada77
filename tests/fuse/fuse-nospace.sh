#!/bin/bash
# SPDX-License-Identifier: MIT
# A full host: the writer gets ENOSPC, what was flushed stays, reading goes on,
# and once there is space again so does writing.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || skip "only root can mount a small tmpfs"

mkdir host
mount -t tmpfs -o size=24M none host || skip "no tmpfs"
at_exit "umount -l host"
for cache in writeback none; do
	rm -f host/*
	vhdtool create --block-size 1M host/d.vhdx 64M >/dev/null
	head -c 2M /dev/zero >host/ballast
	mount_it --cache $cache host/d.vhdx m
	pattern 1 8M >want
	dd if=want of=m/disk bs=1M conv=notrunc,fsync status=none
	status 1 dd if=/dev/urandom of=m/disk bs=1M seek=8 count=40 \
		conv=notrunc,fsync
	says err "No space left on device"
	cmp -n 8388608 want m/disk || fail "what was flushed"
	free=$(stat -f -c %f host)
	equal "free in the mount" "$(stat -f -c %f m)" "$free"
	rm host/ballast
	dd if=want of=m/disk bs=1M conv=notrunc,fsync status=none count=1 ||
		fail "writing again"
	unmount_it m
	sound host/d.vhdx
	vhdtool read --length 8M host/d.vhdx | cmp - want ||
		fail "in the image"
done
