#!/bin/bash
# SPDX-License-Identifier: MIT
# set-parent that is killed at any moment leaves a child that opens, on the old
# parent or on the new one.
. "$(dirname "$0")/lib.sh"

mkdir a b c
vhdtool create a/base.vhdx 10M >/dev/null
pattern 1 3000000 | vhdtool write a/base.vhdx >/dev/null
cp a/base.vhdx b/other.vhdx
vhdtool create --parent a/base.vhdx c/child.avhdx >/dev/null
pattern 2 512 | vhdtool write --offset 4096 c/child.avhdx >/dev/null
vhdtool read c/child.avhdx >model

# How long one takes, in microseconds.
took()
{
	local began=${EPOCHREALTIME/./}
	"$@" >/dev/null
	echo $((${EPOCHREALTIME/./} - began))
}
long=$(took vhdtool set-parent c/child.avhdx b/other.vhdx)
[ "$long" -gt 500 ] || long=500

killed=0
for i in $(seq 40); do
	to=a/base.vhdx
	[ $((i % 2)) = 0 ] && to=b/other.vhdx
	"$VHDTOOL" set-parent c/child.avhdx $to >/dev/null 2>&1 &
	pid=$!
	us=$((long * (i % 30) / 25))
	sleep "$(printf '0.%06d' $us)"
	kill -KILL $pid 2>/dev/null || :
	got=0
	wait $pid 2>/dev/null || got=$?
	[ $got = 137 ] && killed=$((killed + 1))
	vhdtool read c/child.avhdx 2>err | cmp - model
	status 0 vhdtool check --chain c/child.avhdx
	says_not out "does not lead to"
done
[ $killed -gt 0 ] || skip "it was faster than every kill"
