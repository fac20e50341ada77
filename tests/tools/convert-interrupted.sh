#!/bin/bash
# SPDX-License-Identifier: MIT
# Ctrl-C in the middle of copying: says so, ends by the signal, leaves nothing;
# nor does a kill without warning.
. "$(dirname "$0")/lib.sh"

head -c 1500M /dev/zero | tr '\0' x >src.raw
mkdir work

interrupt() # SIGNAL: sets got
{
	env --default-signal=INT "$VHDTOOL" convert --progress json src.raw \
		work/dst.vhdx >out 2>err &
	local pid=$! i
	# Until it is on its way, by its own word.
	for i in $(seq 400); do
		grep -q '"done": [1-9]' err && break
		kill -0 $pid 2>/dev/null || break
		sleep 0.02
	done
	kill -"$1" $pid 2>/dev/null || skip "the copy was faster than the signal"
	got=0
	wait $pid || got=$?
	[ $got != 0 ] || skip "the copy was faster than the signal"
}

interrupt INT
equal status $got 130
says err "nothing was left behind"
equal "left behind" "$(ls -A work)" ""

interrupt KILL
equal status $got 137
equal "left behind by a kill" "$(ls -A work)" ""
