#!/bin/bash
# SPDX-License-Identifier: MIT
# Too little space is noticed before anything is made, and the shortfall is
# named; where it shows only on the way, nothing is left behind either.
. "$(dirname "$0")/lib.sh"

mkdir small
mount -t tmpfs -o size=8M none small 2>/dev/null || skip "may not mount"
at_exit "umount '$tmp/small'"
pattern 1 16777216 >src.raw

for file in a.vhdx a.vhd a.raw; do
	status 5 vhdtool convert src.raw small/$file
	says err "short by"
	equal "left behind" "$(ls -A small)" ""
	status 5 vhdtool convert --dry-run src.raw small/$file
done
status 5 vhdtool create --type fixed small/a.vhdx 16M
status 5 vhdtool create --type fixed small/a.vhd 16M
equal "left behind" "$(ls -A small)" ""

# Much of the source is stored zeros: it fits, and is not refused.
head -c 16M /dev/zero >zeros.raw
pattern 1 100000 | dd of=zeros.raw conv=notrunc status=none
status 0 vhdtool convert zeros.raw small/a.vhdx
status 0 vhdtool compare zeros.raw small/a.vhdx

# A write that cannot fit is refused before it starts.
status 5 vhdtool write small/a.vhdx <src.raw
says err "short by"
status 0 vhdtool compare zeros.raw small/a.vhdx
# Through a pipe the length is not known: the image survives running full.
status 5 sh -c "cat src.raw | $VHDTOOL write small/a.vhdx"
status 0 vhdtool info small/a.vhdx
status 0 vhdtool check small/a.vhdx
