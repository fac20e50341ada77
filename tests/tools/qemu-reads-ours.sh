#!/bin/bash
# SPDX-License-Identifier: MIT
# Images that we create and write are read identically by qemu-img and pass
# its check.
. "$(dirname "$0")/lib.sh"
requires qemu-img

try() # FILE SIZE OPTIONS...
{
	local file=$1 size=$2 format=vhdx
	shift 2
	case $file in *.vhd) format=vpc;; esac
	rm -f model
	truncate -s $size model
	vhdtool create "$@" --force "$file" $size >/dev/null
	local i off len
	for i in 1 2 3 4 5 6 7 8; do
		off=$((i * i * 512 * 977 % (size - 700000) / 512 * 512))
		len=$((i * 70000 / 512 * 512))
		pattern $i $len >data
		vhdtool write --offset $off "$file" <data >/dev/null
		dd if=data of=model bs=64K seek=$off conv=notrunc \
			oflag=seek_bytes status=none
	done
	vhdtool write --zeroes --offset 2M --length 2M "$file" >/dev/null
	dd if=/dev/zero of=model bs=1M seek=2 count=2 conv=notrunc status=none
	vhdtool read "$file" | cmp - model
	qemu-img compare -q -f raw -F $format model "$file" ||
		fail "$file $*: qemu-img sees another content"
	[ $format = vpc ] || qemu-img check -q -f $format "$file" ||
		fail "$file $*: qemu-img check"
	[ $format = vpc ] ||
		equal "virtual size for qemu" "$size" "$(qemu-img info \
			--output json "$file" |
			sed -n 's/.*"virtual-size": \([0-9]*\).*/\1/p')"
}

M=1048576
for block in 1 2 4 8 16 32 64 128 256; do
	try a.vhdx $((40 * M)) --block-size ${block}M
done
try b.vhdx $((40 * M)) --type fixed
try c.vhdx $((9 * M + 512)) --block-size 2M
try e.vhd $((40 * M))
try f.vhd $((40 * M)) --type fixed
