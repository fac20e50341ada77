#!/bin/bash
# SPDX-License-Identifier: MIT
# What is written to the mounted disk, at any offset, is in the image after
# unmounting, and nothing else is changed; 512 and 4096 byte sectors alike.
. "$(dirname "$0")/lib.sh"

for sector in 512 4096; do
	vhdtool create --sector-size $sector --block-size 1M d.vhdx 5M >/dev/null
	pattern 1 5M >want
	mount_it d.vhdx m
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
	vhdtool read d.vhdx | cmp - want || fail "in the image"
	sound d.vhdx
	mount_it --cache none d.vhdx m
	cmp want m/disk || fail "mounted again"
	for f in m/disk want; do
		dd if=piece of=$f bs=70001 seek=3456789 oflag=seek_bytes \
			conv=notrunc status=none
	done
	cmp want m/disk || fail "with --cache none"
	unmount_it m
	vhdtool read d.vhdx | cmp - want || fail "in the image, --cache none"
	sound d.vhdx
	rm d.vhdx
done
