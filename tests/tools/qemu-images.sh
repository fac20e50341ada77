#!/bin/bash
# SPDX-License-Identifier: MIT
# Images that qemu-img creates and qemu-io writes, in all subformats and block
# sizes, are read by us as qemu reads them, and are sound.
. "$(dirname "$0")/lib.sh"
requires qemu-img qemu-io

try() # FORMAT OPTIONS SIZE
{
	local format=$1 options=$2 size=$3
	rm -f img qemu.raw ours.raw
	qemu-img create -q -f $format -o "$options" img $size
	qemu-io -f $format -c 'write -q -P 1 0 64k' \
		-c 'write -q -P 2 1000k 100k' -c 'write -q -P 3 7m 512' \
		-c 'write -q -P 4 8388096 5000192' -c 'write -q -z 9m 1m' \
		-c "write -q -P 5 $((size - 4096)) 4096" img
	qemu-img convert -f $format -O raw img qemu.raw
	vhdtool convert img ours.raw >/dev/null
	if ! cmp -s qemu.raw ours.raw; then
		# vpc: qemu may show the size of the geometry
		[ $format = vpc ] || fail "$format $options: content differs"
		status 0 vhdtool compare qemu.raw ours.raw
	fi
	status 0 vhdtool check img
	equal "$format $options: size" "$(stat -c %s ours.raw)" "$size"
	# And what we write, qemu reads.
	pattern 1 3000000 | vhdtool write --offset 5000000 img >/dev/null
	pattern 1 3000000 | dd of=ours.raw bs=64K seek=5000000 conv=notrunc \
		oflag=seek_bytes status=none
	qemu-img compare -q -f raw -F $format ours.raw img ||
		fail "$format $options: qemu does not see what we wrote"
	[ $format = vpc ] || qemu-img check -q -f $format img ||
		fail "$format $options: qemu-img check"
	status 0 vhdtool check img
}

M=1048576
for block in 1 2 4 8 16 32 64 128 256; do
	try vhdx subformat=dynamic,block_size=${block}M $((40 * M))
done
try vhdx subformat=fixed,block_size=1M $((40 * M))
try vhdx subformat=fixed,block_size=8M $((21 * M))
try vhdx subformat=dynamic,log_size=8M,block_state_zero=off $((40 * M))
try vpc subformat=dynamic,force_size=on $((40 * M))
try vpc subformat=fixed,force_size=on $((40 * M))
