#!/bin/bash
# SPDX-License-Identifier: MIT
# What is written to the mounted disk, at any offset, is in the image after
# unmounting, and nothing else is changed; in every format, 512 and 4096 byte
# sectors alike.
. "$(dirname "$0")/lib.sh"

for kind in "vhdx --block-size 1M" "vhdx --sector-size 4096" vhd raw; do
	vhdtool create d.img 5M --format $kind >/dev/null
	pattern 1 5M >want
	mount_it d.img m
	dd if=want of=m/disk bs=1M conv=notrunc status=none
	for at in 0 1 511 4095 4097 1048575 4194303 5242879; do
		printf X | dd of=m/disk bs=1 seek=$at conv=notrunc status=none
		printf X | dd of=want bs=1 seek=$at conv=notrunc status=none
	done
	pattern 2 70001 >piece
	for f in m/disk want; do
		dd if=piece of=$f bs=70001 seek=12345 oflag=seek_bytes \
			conv=notrunc status=none
	done
	cmp want m/disk || fail "as mounted"
	unmount_it m
	vhdtool read d.img | cmp - want || fail "in the image"
	[ "$kind" = raw ] || sound d.img
	mount_it --cache none d.img m
	cmp want m/disk || fail "mounted again"
	for f in m/disk want; do
		dd if=piece of=$f bs=70001 seek=3456789 oflag=seek_bytes \
			conv=notrunc status=none
	done
	cmp want m/disk || fail "with --cache none"
	unmount_it m
	vhdtool read d.img | cmp - want || fail "in the image, --cache none"
	[ "$kind" = raw ] || sound d.img
	rm d.img
done
