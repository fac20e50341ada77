#!/bin/bash
# SPDX-License-Identifier: MIT
# A zeroed range reads as zeros, a discarded one as zeros or as before, the
# neighbours stay, and whole blocks of a dynamic image are no longer mapped.
. "$(dirname "$0")/lib.sh"

run() # FILE OPTIONS...
{
	local file=$1
	shift
	pattern 1 16777216 >model
	vhdtool create "$@" "$file" 16M >/dev/null
	vhdtool write "$file" <model >/dev/null
	vhdtool write --zeroes --offset 512K --length 1024 "$file" >/dev/null
	dd if=/dev/zero of=model bs=512 seek=1024 count=2 conv=notrunc \
		status=none
	vhdtool read "$file" | cmp - model
	vhdtool write --zeroes --offset 4M --length 4M "$file" >/dev/null
	dd if=/dev/zero of=model bs=1M seek=4 count=4 conv=notrunc status=none
	vhdtool read "$file" | cmp - model
	vhdtool discard --offset 8M --length 4M "$file" >/dev/null
	cp model after
	dd if=/dev/zero of=after bs=1M seek=8 count=4 conv=notrunc status=none
	vhdtool read "$file" >got
	cmp -s got after || cmp got model || fail "$file after the discard"
	status 0 vhdtool check "$file"
}

run a.vhdx --block-size 1M
vhdtool map a.vhdx >out
vhdtool read --offset 8M --length 4M a.vhdx | cmp -n 4194304 - /dev/zero
equal "mapped ranges" "$(grep -c ' data ' out)" 2
run b.vhdx --block-size 1M --type fixed
run c.raw
run d.vhd
