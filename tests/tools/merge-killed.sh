#!/bin/bash
# SPDX-License-Identifier: MIT
# A merge may be killed at any moment, again and again: every disk of the chain
# shows what it showed before, and the same command finishes in the end.
. "$(dirname "$0")/lib.sh"

M=1048576
put() # FILE SEED OFFSET LEN
{
	pattern "$2" "$4" | vhdtool write --offset "$3" "$1" >/dev/null
}

make_chain()
{
	rm -rf ./*."$1"* model*
	vhdtool create base."$1" 40M >/dev/null
	put base."$1" 1 0 $((20 * M))
	local i below=base
	for i in 1 2 3 4 leaf; do
		vhdtool create --parent $below."$1" "$i.$1" >/dev/null
		put "$i.$1" $((${i/leaf/5} + 1)) $((${i/leaf/5} * 6 * M + 512)) \
			$((4 * M))
		below=$i
	done
	vhdtool write --zeroes --offset 3M --length 5M leaf."$1" >/dev/null
	for i in a b c; do
		vhdtool create --parent leaf."$1" grand-$i."$1" >/dev/null
	done
	put grand-b."$1" 9 $((17 * M)) 70144
	vhdtool read leaf."$1" >model
	vhdtool read grand-b."$1" >model-b
}

same() # FILE MODEL
{
	vhdtool read "$1" 2>log | cmp - "$2" ||
		{ cat log; fail "$1 shows another content"; }
}

look() # FORMAT
{
	local i
	for i in a c; do
		same grand-$i."$1" model
	done
	same grand-b."$1" model-b
	[ ! -e leaf."$1" ] || same leaf."$1" model
}

for format in vhdx vhd; do
	make_chain $format
	kills=0 ms=4
	while :; do
		got=0
		"$VHDTOOL" merge --into base.$format leaf.$format >out 2>err &
		pid=$!
		sleep $((ms / 1000)).$(printf %03d $((ms % 1000)))
		kill -KILL $pid 2>/dev/null || :
		{ wait $pid || got=$?; } 2>/dev/null
		[ $got != 0 ] || break
		[ $got = 137 ] || { cat err; fail "status $got"; }
		kills=$((kills + 1))
		look $format
		# It may have been hit when nothing was left to do.
		[ -e leaf.$format ] || [ -e leaf.$format.merge ] || break
		ms=$((ms + 4 + ms / 20))
		[ $ms -lt 30000 ] || fail "no end"
	done
	[ $kills -gt 0 ] || skip "the merge was faster than the kill"
	echo "$format: $kills kills"
	look $format
	same base.$format model
	status 0 vhdtool check base.$format
	equal "what is left" "$(echo ./*.$format*)" \
		"./base.$format ./grand-a.$format ./grand-b.$format ./grand-c.$format"
done
