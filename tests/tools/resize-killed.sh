#!/bin/bash
# SPDX-License-Identifier: MIT
# resize that is killed at any moment leaves a disk of the old size or the new
# one, with its content, zeros behind that, and the same command completes it.
. "$(dirname "$0")/lib.sh"

pattern 1 3000000 >model
small=10485760
for kind in "vhdx dynamic" "vhdx fixed" "vhd dynamic" "vhd fixed"; do
	format=${kind% *} type=${kind#* }
	vhdtool create --type "$type" "disk.$format" 10M >/dev/null
	vhdtool write "disk.$format" <model >/dev/null
	cp "disk.$format" first
	large=$((6 << 30))
	[ "$type" = dynamic ] || large=$((40 << 20))
	killed=0
	for i in $(seq 6); do
		cp first "disk.$format"
		"$VHDTOOL" resize "disk.$format" $large >/dev/null 2>&1 &
		pid=$!
		sleep "$(printf '0.%06d' $((i * 1500)))"
		kill -KILL $pid 2>/dev/null || :
		got=0
		wait $pid 2>/dev/null || got=$?
		[ $got = 137 ] && killed=$((killed + 1))
		vhdtool info --json "disk.$format" >info 2>err
		size=$(json virtual_size info)
		[ "$size" = $small ] || [ "$size" = $large ] ||
			fail "a size of $size"
		vhdtool read --length 3000000 "disk.$format" 2>err |
			cmp - model
		status 0 vhdtool resize "disk.$format" $large
		vhdtool read --length 20M "disk.$format" >now
		cmp -n 3000000 now model
		tail -c +3000001 now | tr -d '\0' >rest
		[ ! -s rest ] || fail "not zeros behind the old end"
		status 0 vhdtool check "disk.$format"
		[ "$format" = vhd ] && continue
		"$VHDTOOL" resize --shrink "disk.$format" $small >/dev/null 2>&1 &
		pid=$!
		sleep "$(printf '0.%06d' $((i * 1200)))"
		kill -KILL $pid 2>/dev/null || :
		wait $pid 2>/dev/null || :
		status 0 vhdtool resize --shrink "disk.$format" $small
		vhdtool read --length 3000000 "disk.$format" | cmp - model
		status 0 vhdtool check "disk.$format"
	done
	echo "$kind: killed $killed of 6"
	rm -f "disk.$format"
done
