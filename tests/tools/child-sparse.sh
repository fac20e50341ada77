#!/bin/bash
# SPDX-License-Identifier: MIT
# Small writes all over a child take about their own size on the host, not
# whole blocks: also where the blocks have had another life.
. "$(dirname "$0")/lib.sh"

used() { echo $(($(stat -c '%b * 512' "$1"))); }
cnt=1500

# scatter SEED: that many writes of 4 KiB, into as many blocks as there are
scatter()
{
	vhdtool bench --op write --bs 4K --random --seed "$1" \
		--count $cnt child.vhdx >/dev/null
}

# at_most WHAT WRITES: for each write its payload and a page of bits, for all
# of them the log, the BAT and the metadata.
at_most()
{
	local most=$(($2 * 8192 + 4 * 1048576))
	[ "$(used child.vhdx)" -le $most ] ||
		fail "$1: child.vhdx takes $(used child.vhdx) bytes, not $most"
}

vhdtool create base.vhdx 8G >/dev/null
vhdtool bench --op write --bs 64K --step 8M --count 1000 base.vhdx >/dev/null
truncate -s 4M holes
fallocate -p -o 0 -l 1M holes 2>/dev/null ||
	skip "this file system has no holes"
vhdtool create --type differencing --parent base.vhdx child.vhdx >/dev/null
scatter 1
[ "$(stat -c %s child.vhdx)" -gt $((cnt * 1048576)) ] ||
	fail "the writes did not reach many blocks"
at_most "scattered writes" $cnt
scatter 2
at_most "more of them" $((2 * cnt))

# Half of the blocks are given back, and their space is taken again.
vhdtool discard --offset 0 --length 4G child.vhdx >/dev/null
scatter 3
at_most "space that is used again" $((3 * cnt))
status 0 vhdtool check child.vhdx
