#!/bin/bash
# SPDX-License-Identifier: MIT
# --cache none goes past the page cache: the kernel's aio is used, and what was
# written can be read both ways.
. "$(dirname "$0")/lib.sh"
requires strace
export ASAN_OPTIONS=detect_leaks=0 # which cannot work when traced
strace -o probe true 2>/dev/null || skip "strace may not trace here"
dd if=/dev/zero of=probe bs=4096 count=1 oflag=direct status=none 2>/dev/null ||
	skip "no O_DIRECT in $PWD"

vhdtool create --block-size 1M a.vhdx 64M >/dev/null
vhdtool bench --cache none --op write --bs 64K --count 200 --flush-interval 50 \
	a.vhdx >/dev/null
status 0 vhdtool check a.vhdx
vhdtool read --length 12800K a.vhdx >buffered
for bs in 512 4K 1M; do
	strace -f -e trace=io_submit -o trace \
		"$VHDTOOL" bench --cache none --bs $bs --count 12 a.vhdx >out
	grep -q 'io_submit.*PREAD' trace || fail "no aio with --bs $bs"
done
[ "$(tr -d '\0' <buffered | wc -c)" = $((12800 * 1024)) ] ||
	fail "zeros where data was written"
