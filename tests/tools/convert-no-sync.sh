#!/bin/bash
# SPDX-License-Identifier: MIT
# convert makes its target durable before it ends, and begins with that while
# it copies; with --no-sync it asks for nothing, says so, and makes the same.
. "$(dirname "$0")/lib.sh"
requires strace
export ASAN_OPTIONS=detect_leaks=0 # which cannot work when traced
strace -o probe true 2>/dev/null || skip "strace may not trace here"

sparse_pattern src.raw
for file in a.vhdx a.vhd a.raw; do
	for option in "" --no-sync; do
		strace -f -o trace -e trace=fsync,fdatasync,sync_file_range \
			"$VHDTOOL" convert $option --force src.raw $file >out
		calls=$(grep -c 'f.*sync(' trace) || :
		early=$(grep -c sync_file_range trace) || :
		if [ "$option" ]; then
			equal "syncs of $file" "$calls $early" "0 0"
			says out "not synced"
		else
			[ "$calls" -ge 2 ] || fail "$file is not durable"
			[ "$early" -ge 1 ] || fail "$file is written at the end"
			says_not out "not synced"
		fi
		status 0 vhdtool compare src.raw $file
		sound $file
	done
done
