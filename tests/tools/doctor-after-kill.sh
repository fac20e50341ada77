#!/bin/bash
# SPDX-License-Identifier: MIT
# After a write and a merge were killed anywhere, one doctor --apply makes the
# folder healthy, and its disks show what they did before.
. "$(dirname "$0")/lib.sh"

mkdir first work
cd first
vhdtool create base.vhdx --size 48M --block-size 1M >/dev/null
pattern 1 9000000 | vhdtool write base.vhdx >/dev/null
vhdtool create --parent base.vhdx c1.vhdx >/dev/null
pattern 2 20000000 | vhdtool write --offset 3M c1.vhdx >/dev/null
vhdtool create --parent c1.vhdx leaf.vhdx >/dev/null
vhdtool create other.vhdx 64M >/dev/null
pattern 3 70000 | vhdtool write --offset 30M leaf.vhdx >/dev/null
vhdtool convert leaf.vhdx ../leaf.raw >/dev/null
cp --sparse=always ./*.vhdx ../work
cd ../work
millis vhdtool merge c1.vhdx >/dev/null
merge_took=$took
millis vhdtool bench --op write --count 3000 --flush-interval 50 \
	other.vhdx >/dev/null
write_took=$took

kills=0
for part in 1 2 3 4 5; do
	rm -f ./*
	cp --sparse=always ../first/*.vhdx .
	if killed $((merge_took * part / 6)) vhdtool merge c1.vhdx; then
		kills=$((kills + 1))
	fi
	if killed $((write_took * part / 6)) vhdtool bench --op write \
		--count 3000 --flush-interval 50 other.vhdx; then
		kills=$((kills + 1))
	fi
	rm -f out err
	status 0 vhdtool doctor --apply .
	equal "said" "$(cat err)" ""
	status 0 vhdtool doctor .
	says_not out "dirty"
	status 0 vhdtool compare leaf.vhdx ../leaf.raw
	[ ! -e c1.vhdx.merge ] || fail "a journal is left"
done
[ $kills -gt 3 ] || skip "all was faster than the signal"
echo "$kills kills"
