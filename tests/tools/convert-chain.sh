#!/bin/bash
# SPDX-License-Identifier: MIT
# A chain of five layers, most of its blocks partly present in several of them,
# is copied to every format and block size as it reads; also to sectors that are
# larger than the pieces it is made of.
. "$(dirname "$0")/lib.sh"

size=67108864
pattern 1 $size >model
vhdtool convert --block-size 1M model 0.vhdx >/dev/null
RANDOM=4711
for layer in 1 2 3 4; do
	vhdtool create --parent $((layer - 1)).vhdx $layer.vhdx >/dev/null
	for piece in 1 2 3 4 5 6 7 8 9; do
		len=$((512 * (1 + RANDOM % 40)))
		[ $piece != 9 ] || len=$((3 * 1048576 + 512))
		voff=$((RANDOM * RANDOM % (size - len) / 512 * 512))
		if [ $piece = 5 ]; then
			head -c $len /dev/zero >data
		else
			pattern $layer$piece $len >data
		fi
		vhdtool write --offset $voff $layer.vhdx <data >/dev/null
		dd if=data of=model bs=64K seek=$voff oflag=seek_bytes \
			conv=notrunc status=none
	done
	vhdtool write --zeroes --offset $((layer * 5000192)) --length 1049088 \
		$layer.vhdx >/dev/null
	head -c 1049088 /dev/zero | dd of=model bs=64K conv=notrunc \
		seek=$((layer * 5000192)) oflag=seek_bytes status=none
done

copied() # DST OPTIONS...
{
	local dst=$1
	shift
	status 0 vhdtool convert "$@" 4.vhdx "$dst"
	status 0 vhdtool compare --strict model "$dst"
	vhdtool read "$dst" | cmp - model || fail "$dst reads another content"
	status 0 vhdtool check "$dst"
	rm "$dst"
}

for block in 1M 16M 32M 256M; do
	copied dst.vhdx --block-size $block
done
copied dst.vhdx --sector-size 4096
copied dst.vhdx --type fixed
copied dst.vhd
copied dst.vhd --type fixed --no-sync
copied dst.raw
