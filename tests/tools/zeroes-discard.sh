#!/bin/bash
# SPDX-License-Identifier: MIT
# A discarded or zeroed range reads as zeros, its neighbours stay, and whole
# blocks of it are no longer mapped.
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
	dd if=/dev/zero of=model bs=1M seek=8 count=4 conv=notrunc status=none
	vhdtool read "$file" | cmp - model
	status 0 vhdtool check "$file"
}

run a.vhdx --block-size 1M
vhdtool map a.vhdx >out
equal "mapped ranges" "$(grep -c ' data ' out)" 2
run b.vhdx --block-size 1M --type fixed
run c.raw
run d.vhd
