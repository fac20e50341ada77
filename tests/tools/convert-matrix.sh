#!/bin/bash
# SPDX-License-Identifier: MIT
# Converting from every format to every other keeps every byte and the size,
# as qemu-img sees it too.
. "$(dirname "$0")/lib.sh"
requires qemu-img

sparse_pattern src.raw
convert() # SRC DST OPTIONS...
{
	local src=$1 dst=$2
	shift 2
	vhdtool convert "$@" "$src" "$dst" >/dev/null
	status 0 vhdtool compare --strict src.raw "$dst"
	case $dst in
	*.vhd) format=vpc;;
	*.vhdx) format=vhdx;;
	*) format=raw;;
	esac
	qemu-img compare -f raw -F $format src.raw "$dst" >/dev/null ||
		fail "qemu-img sees another content in $dst"
	status 0 vhdtool check "$dst"
}

convert src.raw a.vhdx
convert src.raw b.vhdx --type fixed --block-size 1M
convert src.raw c.vhd
convert src.raw d.vhd --type fixed
convert a.vhdx e.vhd
convert a.vhdx f.raw
convert b.vhdx g.vhdx --type dynamic --block-size 8M
convert c.vhd h.vhdx
convert c.vhd i.raw
convert d.vhd j.vhd --type dynamic
convert f.raw k.raw

# The name need not tell the format.
vhdtool convert --to vhd a.vhdx l.disk >/dev/null
vhdtool info l.disk | grep -q 'format: *vhd,' || fail "--to was not obeyed"
status 2 vhdtool convert a.vhdx m.disk
says err "--to"
# --from raw: the file's bytes, not the disk in it.
vhdtool convert --from raw a.vhdx n.raw >/dev/null
cmp n.raw a.vhdx
# To a pipe.
vhdtool convert a.vhdx - | cmp - src.raw
