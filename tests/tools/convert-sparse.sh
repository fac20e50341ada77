#!/bin/bash
# SPDX-License-Identifier: MIT
# Zeros that the source stores take no space in the target.
. "$(dirname "$0")/lib.sh"

used() { echo $(($(stat -c '%b * 512' "$1"))); }

# 64 MiB of stored zeros with 4 KiB of data in the middle
head -c 64M /dev/zero >src.raw
pattern 1 4096 | dd of=src.raw bs=4096 seek=8000 conv=notrunc status=none
[ "$(used src.raw)" -ge 60000000 ] || skip "this file system drops zeros"
for dst in a.raw a.vhdx a.vhd; do
	vhdtool convert src.raw $dst >/dev/null
	[ "$(used $dst)" -le 6000000 ] || fail "$dst takes $(used $dst) bytes"
	status 0 vhdtool compare src.raw $dst
done
vhdtool convert src.raw b.vhdx | grep -q 'data copied: 4096 ' ||
	fail "more than the data was copied"
