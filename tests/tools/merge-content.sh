#!/bin/bash
# SPDX-License-Identifier: MIT
# After a merge the target reads as the child did, byte for byte, to us, to qemu
# and to libvhdi, whatever the depth, the block sizes and the format; and so do
# the children that were re-linked to it.
. "$(dirname "$0")/lib.sh"

M=1048576
at_exit "umount '$tmp/mnt' 2>/dev/null"
put() # FILE SEED OFFSET LEN
{
	pattern "$2" "$4" | vhdtool write --force --offset "$3" "$1" >/dev/null
}

# chain FORMAT BLOCK [nozero]: base <- one <- two <- leaf <- sub/grand, each with
# its own data
chain()
{
	rm -rf ./*."$1" sub model grand.model
	mkdir sub
	sparse_pattern src
	vhdtool convert --to "$1" --block-size "$2" src base."$1" >/dev/null
	vhdtool create --parent base."$1" one."$1" >/dev/null
	put one."$1" 4 $((3 * M - 512)) 5000192
	vhdtool create --parent one."$1" two."$1" >/dev/null
	put two."$1" 5 $((5 * M + 1024)) 512
	put two."$1" 6 $((60 * M)) 65536
	vhdtool create --parent two."$1" leaf."$1" >/dev/null
	put leaf."$1" 7 $((M + 512)) $((2 * M))
	[ "${3:-}" = nozero ] || vhdtool write --zeroes --offset $((4 * M)) \
		--length $((5 * M)) leaf."$1" >/dev/null
	vhdtool create --parent leaf."$1" sub/grand."$1" >/dev/null
	put sub/grand."$1" 8 $((20 * M)) 4096
	vhdtool read leaf."$1" >model
	vhdtool read sub/grand."$1" >grand.model
}

libvhdi_reads() # FILE MODEL: true too where it is not here
{
	command -v vhdimount >/dev/null && [ -w /dev/fuse ] || return 0
	mkdir -p mnt
	vhdimount "$1" mnt >log 2>&1 || { cat log; fail "libvhdi refuses $1"; }
	local last
	last=$(printf '%s\n' mnt/* | sort -V | tail -n 1)
	cat "$last" >seen
	umount mnt
	cmp -s seen "$2"
}

libvhdi_same() # FILE MODEL
{
	libvhdi_reads "$1" "$2" || fail "libvhdi sees another content in $1"
}

qemu_same() # FILE FORMAT: a base image
{
	command -v qemu-img >/dev/null || return 0
	cp model model.raw
	# qemu reads a vhd by its geometry, which may be smaller.
	[ "$2" = vpc ] && opts=driver=vpc,force_size_calc=current_size ||
		opts=driver=$2
	qemu-img compare --image-opts "$opts,file.filename=$1" \
		driver=raw,file.filename=model.raw >log ||
		{ cat log; fail "qemu sees another content in $1"; }
}

same() # FILE MODEL
{
	vhdtool read "$1" | cmp - "$2" || fail "$1 reads another content"
	status 0 vhdtool check "$1"
}

gone()
{
	local f
	for f; do
		[ ! -e "$f" ] || fail "$f is still there"
	done
}

for format in vhdx vhd; do
	driver=$format
	[ $format = vhd ] && driver=vpc

	# The parent, a child itself. (libvhdi does not understand every chain: it
	# shows the parent's data where a child of a vhdx has a block of zeros.)
	chain $format 2M nozero
	peer=1
	libvhdi_reads leaf.$format model || peer=0
	status 0 vhdtool merge --children sub/grand.$format leaf.$format
	says out "merged leaf.$format into"
	says out "two.$format"
	gone leaf.$format leaf.$format.merge
	same two.$format model
	same sub/grand.$format grand.model
	[ $peer = 0 ] || libvhdi_same two.$format model

	# All the way down.
	chain $format 512K 2>/dev/null || chain $format 1M
	mv sub/grand.$format . && vhdtool read grand.$format | cmp - grand.model
	status 0 vhdtool merge --into base.$format leaf.$format
	gone leaf.$format two.$format one.$format leaf.$format.merge
	same base.$format model
	same grand.$format grand.model
	qemu_same base.$format $driver
	libvhdi_same base.$format model
	[ $peer = 0 ] || libvhdi_same grand.$format grand.model

	# The child stays.
	chain $format 2M
	rm -r sub
	status 0 vhdtool merge --keep leaf.$format
	status 0 vhdtool read --length 512 leaf.$format
	says_not err "another time"
	same leaf.$format model
	same two.$format model
done

# A fixed parent, and sectors of 4 KiB.
vhdtool create --type fixed --sector-size 4096 fixed.vhdx 9M >/dev/null
put fixed.vhdx 1 0 $((9 * M))
vhdtool create --parent fixed.vhdx c.vhdx >/dev/null
put c.vhdx 2 $((4 * M - 4096)) 8192
vhdtool write --zeroes --offset $M --length 1M c.vhdx >/dev/null
vhdtool discard --offset 6M --length 2M c.vhdx >/dev/null
vhdtool read c.vhdx >model
status 0 vhdtool merge c.vhdx
same fixed.vhdx model
