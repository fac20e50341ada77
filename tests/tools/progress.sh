#!/bin/bash
# SPDX-License-Identifier: MIT
# --progress json reports on stderr up to the end; without a terminal nothing
# is reported unasked; names of all kinds stand a round trip.
. "$(dirname "$0")/lib.sh"

sparse_pattern src.raw
status 0 vhdtool convert --progress json src.raw a.vhdx
total=$((67 * 1048576))
says err "\"done\": $total, \"total\": $total"
status 0 vhdtool convert src.raw b.vhdx
[ ! -s err ] || fail "something was said on stderr"

name=$'a name with\na line feed, a '\'' and \xff.vhdx'
vhdtool convert src.raw "$name" >/dev/null
status 0 vhdtool compare src.raw "$name"
vhdtool info --json "$name" >info
if command -v jq >/dev/null; then
	equal size "$(jq .virtual_size info)" $total
fi
status 3 vhdtool info "$name.absent"
equal lines "$(wc -l <err)" 1
