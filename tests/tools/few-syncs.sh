#!/bin/bash
# SPDX-License-Identifier: MIT
# 1000 allocating writes of 64 KiB with one flush at the end take a handful of
# syncs, not thousands.
. "$(dirname "$0")/lib.sh"
requires strace
export ASAN_OPTIONS=detect_leaks=0 # which cannot work when traced
strace -o probe true 2>/dev/null || skip "strace may not trace here"

for options in "--block-size 1M" "--block-size 32M"; do
	vhdtool create --force $options a.vhdx 2G >/dev/null
	strace -f -c -e trace=fsync,fdatasync,sync_file_range,msync -o trace \
		"$VHDTOOL" bench --op write --count 1000 --bs 64K --step 1M \
		--flush-interval 1000 a.vhdx >out
	says out "1 flush"
	calls=$(awk '$NF ~ /sync/ { n += $4 } END { print n + 0 }' trace)
	[ "$calls" -ge 2 ] || fail "only $calls syncs: nothing is durable"
	[ "$calls" -le 30 ] || fail "$calls syncs with $options"
	mapped=$(vhdtool map a.vhdx |
		awk '$3 == "data" { n += $2 } END { print n / 1048576 }')
	[ "$mapped" -ge 1000 ] || fail "only $mapped MiB were allocated"
	status 0 vhdtool check a.vhdx
done
